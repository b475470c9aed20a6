"""What an operator does with jobs: cancel one before it ends, delete records of those that have.

Each change is one script or one guarded statement. Redis comes first, as at every end of a job: the
settled id then keeps a push out that is still on its way, and reconcile drops a row left behind.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from enum import StrEnum

import django_rq
from django.db.models import Q
from django.utils import timezone
from django_rq.settings import get_queues_map
from rq.command import PUBSUB_CHANNEL_TEMPLATE

from ..exceptions import StoreError, StoreRefused
from ..job_info import JobInfo, JobState, find_job
from ..jobs import JobSnapshot, timestamp
from ..models import FallbackJob, WorkerHeartbeat
from ..models.fallback_job import State
from ..outcomes import Attempt, stop
from ..queues import get_queue
from ..stores.brokers import Broker, broker_of
from ..stores.database import DatabaseStore
from ..stores.links import script

KEPT = 86_400  # seconds that the record of a cancelled job stays
BATCH = 500  # records that one script looks at
MOST = 5_000  # and one call


class Cancelled(StrEnum):
    """What became of the wish."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"  # a worker was told to stop it
    ACTIVE = "active"  # it runs, and may
    ENDED = "ended"
    ABSENT = "absent"


def cancel(job_id: str, *, running: bool = False) -> Cancelled:
    """Take a job out of both stores before it starts; with *running* have its worker stop it.

    Raises StoreRefused, StoreAmbiguous or StoresUnavailableError when the store is away that has to
    be told: repeating it is safe.
    """
    info = find_job(job_id)
    if info is None:
        return Cancelled.ABSENT
    if info.state in (JobState.COMPLETED, JobState.FAILED, JobState.DEAD, JobState.CANCELLED):
        return Cancelled.ENDED
    row = _row(job_id)
    if row is not None and row.state == State.READY and _end_ready(row):
        return Cancelled.CANCELLED
    try:
        word = _cancel_in_redis(job_id, info.queue_name, row)
    except StoreError:
        if running and _ask_holder(job_id):  # it runs, and its worker needs no Redis to hear that
            return Cancelled.STOPPING
        raise
    if word == "active":
        return _stop(info, row) if running else Cancelled.ACTIVE
    return _cancelled(word, row)


def clean(kind: str, queue_name: str, before: datetime) -> int:
    """Delete rq's records of jobs of one queue that ended before a moment; returns how many.

    *kind* is ``finished`` or ``failed``. It looks at MOST records, those first that expire first;
    of failed jobs it takes those alone that have a dead letter. Raises StoreRefused or
    StoreAmbiguous when Redis is away.
    """
    queue = get_queue(queue_name)
    link, done, kept = broker_of(queue.connection).link, 0, 0
    for _ in range(MOST // BATCH):
        deleted, seen = link.run(
            script("clean"),
            [queue.key],
            *queue.keys.head,
            queue_name,
            kind,
            timestamp(before),
            BATCH,
            kept,
        )
        done, kept = done + deleted, kept + seen - deleted
        if seen < BATCH:
            break
    return done


def _row(job_id: str) -> FallbackJob | None:
    table = DatabaseStore()
    try:
        with table.statement():
            return table.rows.filter(job_id=job_id).first()
    except StoreError:  # Redis may have it
        return None


def _cancelled(word: str, row: FallbackJob | None) -> Cancelled:
    """Say what Redis's word means, and drop the row of what is cancelled there."""
    if word not in ("cancelled", "absent") or (word == "absent" and row is None):
        return Cancelled.ENDED if word == "ended" else Cancelled.ABSENT
    if row is not None and not _drop(row):
        return Cancelled.ACTIVE  # a worker took it from the database meanwhile
    return Cancelled.CANCELLED


def _end_ready(row: FallbackJob) -> bool:
    """End a row that Redis has no copy of; its record stays for a while."""
    snapshot, now = JobSnapshot.load(bytes(row.payload)), timezone.now()
    end = stop(snapshot, Attempt("", "", now, now))
    table = DatabaseStore()
    with table.statement():
        mine = table.rows.filter(pk=row.pk, version=row.version, generation=row.generation)
        kept = now + timedelta(seconds=KEPT)
        won = mine.ready().update(
            state=State.FINISHED, outcome=end.dump(), redis_copy=False, check_at=kept
        )
    return won == 1


def _drop(row: FallbackJob) -> bool:
    """Delete the row of a job that Redis has settled; False when the database executes it."""
    table = DatabaseStore()
    with table.statement():
        same = table.rows.of(row.job_id, row.generation)
        same.filter(Q(state=State.DISPATCHED) | Q(state=State.READY)).delete()
        return not same.exists()


def _cancel_in_redis(job_id: str, queue_name: str, row: FallbackJob | None) -> str:
    if row is not None and row.state == State.CLAIMED:
        return "active"
    broker, keys = _where(queue_name)
    answer: bytes = broker.link.run(
        script("cancel"),
        [],
        *keys,
        queue_name,
        job_id,
        row.generation if row is not None else "",
        timestamp(timezone.now()),
        KEPT,
    )
    return answer.decode()


def _stop(info: JobInfo, row: FallbackJob | None) -> Cancelled:
    """Tell the worker that has it: over Redis, or by its row where that hears nothing."""
    problem: StoreError = StoreRefused(ConnectionError("no worker that has the job could be told"))
    try:
        if (row is None or row.state != State.CLAIMED) and _tell_over_redis(info):
            return Cancelled.STOPPING
    except StoreError as error:
        problem = error
    if _ask_holder(info.job_id):
        return Cancelled.STOPPING
    raise problem


def _ask_holder(job_id: str) -> bool:
    """Ask in the row of the worker that says that it has the job. False when there is none, or it
    has another such wish to fulfil first: repeating it is safe."""
    table = DatabaseStore()
    try:
        with table.statement():
            return bool(WorkerHeartbeat.objects.using(table.alias).ask_to_stop_job(job_id))
    except StoreError:
        return False


def _tell_over_redis(info: JobInfo) -> bool:
    broker, (_, prefix, _) = _where(info.queue_name)
    name: bytes | None = broker.link.call("HGET", prefix + info.job_id, "worker_name")
    command = json.dumps({"command": "stop-job", "job_id": info.job_id})
    return bool(
        name and broker.link.call("PUBLISH", PUBSUB_CHANNEL_TEMPLATE % name.decode(), command)
    )


def _where(queue_name: str) -> tuple[Broker, tuple[str, str, str]]:
    name = queue_name if queue_name in get_queues_map() else next(iter(get_queues_map()))
    queue = get_queue(name)
    return broker_of(django_rq.get_connection(name)), queue.keys.head
