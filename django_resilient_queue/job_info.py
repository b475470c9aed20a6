"""What is known of a job, from whichever store knows it, in one vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django_rq.connection_utils import get_connection
from django_rq.jobs import get_job_class
from django_rq.settings import get_queues_list
from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import resolve_serializer

from .breaker import CircuitState
from .conf import settings
from .exceptions import StoreError, StoreRefused, StoresUnavailableError, UndecodableSnapshot
from .handlers.progress import Progress
from .jobs import ATTEMPT, JobSnapshot
from .models import DeadLetter, FallbackJob
from .models.fallback_job import State
from .outcomes import Ending, Settlement
from .stores.brokers import Broker, broker_of
from .stores.guard import database_errors
from .stores.polling import ask_each


class JobState(StrEnum):
    """Where a job stands, the same words for both stores."""

    WAITING = "waiting"
    ACTIVE = "active"
    DELAYED = "delayed"  # until its time, another job, or a rate limit
    COMPLETED = "completed"
    FAILED = "failed"  # no attempt left; its dead letter is not written yet
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as a store knows it. ``job`` is rq's object, None where its payload can't be read."""

    job_id: str
    state: JobState
    backend: str
    queue_name: str
    attempts: int
    job: Job | None
    error: str = ""

    @property
    def meta(self) -> dict[str, Any]:
        """What the job saved about itself."""
        return dict(self.job.meta) if self.job is not None else {}

    @property
    def progress(self) -> Progress | None:
        """How far it has come, by its own report."""
        return Progress.of(self.meta)

    @property
    def enqueued_at(self) -> datetime | None:
        """When it was enqueued."""
        return self.job.enqueued_at if self.job is not None else None


RQ_STATES: dict[str, JobState] = {
    JobStatus.CREATED: JobState.DELAYED,
    JobStatus.QUEUED: JobState.WAITING,
    JobStatus.STARTED: JobState.ACTIVE,
    JobStatus.DEFERRED: JobState.DELAYED,
    JobStatus.SCHEDULED: JobState.DELAYED,
    JobStatus.RATE_LIMITED: JobState.DELAYED,
    JobStatus.READY_TO_ENQUEUE: JobState.DELAYED,
    JobStatus.FINISHED: JobState.COMPLETED,
    JobStatus.FAILED: JobState.FAILED,
    JobStatus.STOPPED: JobState.CANCELLED,
    JobStatus.CANCELED: JobState.CANCELLED,
}
_ENDINGS = {
    Ending.FINISHED: JobState.COMPLETED,
    Ending.REPEAT: JobState.COMPLETED,
    Ending.RETRY: JobState.DELAYED,
    Ending.DEAD: JobState.DEAD,
    Ending.STOPPED: JobState.CANCELLED,
}


def find_job(job_id: str) -> JobInfo | None:
    """Look in both stores. What the database executes or has settled counts before Redis's copy."""
    row, database_error = None, None
    try:
        with database_errors(settings.DATABASE):
            row = FallbackJob.objects.using(settings.DATABASE).filter(job_id=job_id).first()
            letters = DeadLetter.objects.using(settings.DATABASE)
            letter = letters.filter(job_id=job_id).order_by("-died_at").first()
    except StoreError as error:
        letter, database_error = None, error
    if row is not None and row.state != State.DISPATCHED:
        return _from_row(row)
    found, redis_error = _find_in_redis(job_id, has_row=row is not None)
    if found is not None:
        died = letter is not None and found.state is JobState.FAILED
        return _from_letter(letter) if died and letter is not None else found
    if row is not None:
        return _from_row(row)
    if letter is not None:
        return _from_letter(letter)
    if database_error is not None and redis_error is not None:
        raise StoresUnavailableError(job_id, redis_error, database_error)
    return None


def _find_in_redis(job_id: str, *, has_row: bool) -> tuple[JobInfo | None, StoreError | None]:
    problem: StoreError | None = None
    found, asked, key = dict(_brokers()), [], get_job_class(None).key_for(job_id)
    for broker in found:
        # Without a row only Redis can know the job: then it is worth one bounded try.
        if has_row and broker.breaker.state is CircuitState.OPEN:
            problem = StoreRefused(ConnectionError("the circuit is open"))
        else:
            asked.append(broker)
    for broker, answer in ask_each(asked, lambda each: each.link.call("HGETALL", key)):
        if isinstance(answer, StoreError):
            problem = answer
        elif answer:
            fields = dict(zip(answer[::2], answer[1::2], strict=True))
            return from_hash(job_id, fields, found[broker]), None
    return None, problem


def _brokers() -> Iterator[tuple[Broker, Redis]]:
    seen = set()
    for config in get_queues_list():
        connection = get_connection(config["name"])
        broker = broker_of(connection)
        if broker.address not in seen:
            seen.add(broker.address)
            yield broker, connection


def _serializer(queue_name: str) -> Any:
    configs = {each["name"]: each["connection_config"] for each in get_queues_list()}
    return resolve_serializer(configs.get(queue_name, {}).get("SERIALIZER"))


def from_hash(job_id: str, fields: dict[bytes, bytes], connection: Redis) -> JobInfo:
    """Read a job of Redis. Unpickles ``meta``, as rq does."""
    queue_name = fields.get(b"origin", b"").decode("utf-8", "replace")
    snapshot = JobSnapshot.from_hash(job_id, queue_name, fields)
    job: Job | None = None
    with suppress(UndecodableSnapshot):
        job = snapshot.to_job(get_job_class(None), connection, _serializer(queue_name))
    state = RQ_STATES.get(snapshot.text("status"), JobState.DELAYED)
    # While the next attempt waits, rq's hash still shows the last one's start.
    has_begun = state not in (JobState.WAITING, JobState.DELAYED) and snapshot.text("started_at")
    attempts = _whole(fields, ATTEMPT) + bool(has_begun)
    return JobInfo(job_id, state, "redis", snapshot.queue_name, attempts, job)


def _whole(fields: dict[bytes, bytes], name: str) -> int:
    raw = fields.get(name.encode(), b"")
    return int(raw) if raw.isdigit() else 0


def _from_row(row: FallbackJob) -> JobInfo:
    state = row_state(row)
    attempts = row.attempt + (1 if row.state in (State.CLAIMED, State.FINISHED) else 0)
    return JobInfo(row.job_id, state, "database", row.queue_name, attempts, _job_of(row))


def row_state(row: FallbackJob) -> JobState:
    if row.state == State.CLAIMED:
        return JobState.ACTIVE
    if row.state == State.FINISHED:
        return _ending(row)
    waits = row.waits_for or row.due_at > timezone.now()
    return JobState.DELAYED if waits else JobState.WAITING


def _ending(row: FallbackJob) -> JobState:
    try:
        return _ENDINGS[Settlement.load(bytes(row.outcome or b"")).ending]
    except UndecodableSnapshot:
        return JobState.COMPLETED


def _from_letter(letter: DeadLetter) -> JobInfo:
    job = _job_of(letter)
    return JobInfo(
        letter.job_id,
        JobState.DEAD,
        "database",
        letter.queue_name,
        letter.attempts,
        job,
        error=f"{letter.error_class}: {letter.message}".strip(": "),
    )


def _job_of(row: FallbackJob | DeadLetter) -> Job | None:
    try:
        snapshot = JobSnapshot.load(bytes(row.payload))
        names = [each["name"] for each in get_queues_list()]
        name = row.queue_name if row.queue_name in names else next(iter(names))
        return snapshot.to_job(
            get_job_class(None), get_connection(name), _serializer(row.queue_name)
        )
    except (UndecodableSnapshot, StopIteration):
        return None
