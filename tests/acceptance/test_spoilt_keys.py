"""A key of Redis that is not what it should be costs its own job something, and no worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import django_rq
import pytest

from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from example_project.servers import RedisServer
from tests import jobs
from tests.workers import WorkerProcess


@pytest.mark.parametrize("state", [State.DISPATCHED, State.CLAIMED])
def test_a_job_key_of_the_wrong_type_ends_no_worker_and_loses_no_job(
    state: State,
    redis_server: RedisServer,
    worker_process: Callable[..., WorkerProcess],
    wait_until: Callable[..., object],
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "ledger"
    spoilt = django_rq.enqueue(jobs.record, str(ledger), "spoilt")
    django_rq.enqueue(jobs.record, str(ledger), "sound")
    client = redis_server.client()
    client.delete(spoilt.key)
    client.set(spoilt.key, "not a hash")
    if state == State.CLAIMED:  # by a worker that is gone
        FallbackJob.objects.filter(job_id=spoilt.id).update(
            state=state, claimed_by="gone", claim_token="token", version=1
        )

    worker = worker_process(
        "default", settings={"LEASE": 2, "HEARTBEAT_INTERVAL": 0.3, "PROBE_INTERVAL": 0.3}
    )

    def both_ran() -> bool:
        lines = ledger.read_text().split() if ledger.exists() else []
        return {"spoilt", "sound"} <= set(lines)

    wait_until(both_ran, timeout=30)
    assert worker.is_running
