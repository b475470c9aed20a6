"""What the tests of health make of the world: workers and rows as they would be there."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from django_resilient_queue.models import FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.stores.brokers import broker_of
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.rows import Entry
from tests.enqueueing import queue
from tests.stores import QUEUES, snapshot


def address() -> str:
    """The Redis of the queues, as rows name it."""
    return broker_of(queue().connection).address


def live_worker(name: str = "w", **values: Any) -> WorkerHeartbeat:
    """A row as a live worker writes it."""
    now = timezone.now()
    defaults: dict[str, Any] = {
        "broker": address(),
        "mode": Mode.REDIS,
        "beat": "1",
        "queues": ",".join(QUEUES),
        "started_at": now,
        "seen_at": now,
    }
    return WorkerHeartbeat.objects.create(name=name, **{**defaults, **values})


def waiting_row(
    job_id: str, queue_name: str = "default", state: str = State.READY, **values: Any
) -> None:
    """A row of a job that has no copy in Redis, with other columns as told."""
    DatabaseStore().insert(Entry(snapshot(job_id, queue_name), state))
    if values:
        FallbackJob.objects.filter(job_id=job_id).update(**values)
