"""What a row says of a job: one that is enqueued, one that runs again, one that is dead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ..conf import settings
from ..jobs import JobSnapshot, new_generation
from ..models import DeadLetter, FailedAttempt, FallbackJob
from ..models.fallback_job import State
from ..outcomes import Ending, Failure, Reason, Settlement
from .base import Claim

FIRST_LOOK = timedelta(seconds=2)  # until reconcile first asks Redis about a row
DEPENDENCIES = "dependencies"  # what a row waits for that only Redis knows
_FOR_EVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Entry:
    """One job on its way into the table."""

    snapshot: JobSnapshot
    state: str
    due_at: datetime | None = None
    at_front: bool = False
    redis_copy: bool = False
    unique: bool = False
    attempt: int = 0
    waits_for: str = ""

    def row(self) -> FallbackJob:
        """Make the row, which is not saved yet."""
        snapshot, now = self.snapshot, timezone.now()
        key, concurrency = snapshot.rate_limit
        return FallbackJob(
            job_id=snapshot.job_id,
            generation=snapshot.generation,
            queue_name=snapshot.queue_name,
            priority=settings.priority_for(snapshot.queue_name),
            at_front=self.at_front,
            state=self.state,
            payload=snapshot.dump(),
            attempt=self.attempt,
            redis_copy=self.redis_copy,
            waits_for=self.waits_for,
            rate_limit_key=key,
            rate_limit_concurrency=concurrency,
            due_at=self.due_at or now,
            check_at=now + FIRST_LOOK,
            created_at=now,
        )


def name_of(row: FallbackJob) -> JobSnapshot:
    """Return what Redis knows the job of a row by: a snapshot of nothing else."""
    return JobSnapshot(row.job_id, row.queue_name, row.generation, {})


def kept_for(end: Settlement) -> timedelta:
    """Return how long the row of an ended job is kept: as long as rq keeps a result."""
    return timedelta(seconds=end.ttl) if end.ttl > 0 else _FOR_EVER


def columns_again(claim: Claim, end: Settlement, now: datetime, *, copy: bool) -> dict[str, object]:
    """Return the columns of a job that runs again: a retry, or a repeat as a new generation."""
    snapshot, attempt = claim.snapshot.changed(end.fields), claim.attempt + 1
    changes: dict[str, object] = {}
    if end.ending is Ending.REPEAT:
        snapshot = JobSnapshot(
            snapshot.job_id, snapshot.queue_name, new_generation(), snapshot.fields
        )
        attempt, changes = 0, {"generation": snapshot.generation, "version": 0, "rescues": 0}
    return {
        "state": State.DISPATCHED if copy else State.READY,
        "stale_copy": copy,
        "attempt": attempt,
        "payload": snapshot.dump(),
        "at_front": end.at_front,
        "due_at": now + timedelta(seconds=end.delay),
        "check_at": now,
        "checks": 0,
        **changes,
    }


def attempt_of(claim: Claim, end: Settlement) -> FailedAttempt:
    """Make the record of an attempt that failed, which is not saved yet."""
    snapshot = claim.snapshot.changed(end.fields)
    failure = end.failure or Failure(Reason.RAISED, "rq.job.Retry", "returned Retry")
    return FailedAttempt.of(
        snapshot,
        claim.attempt,
        failure,
        worker_name=end.worker_name,
        ended_at=snapshot.time("ended_at") or timezone.now(),
    )


def letter_of(claim: Claim, end: Settlement) -> DeadLetter:
    """Make the dead letter of a job without an attempt left, which is not saved yet."""
    failure = end.failure or Failure(Reason.RAISED)
    return DeadLetter.of(
        claim.snapshot.changed(end.fields),
        failure,
        attempts=claim.attempt + 1,
        worker_name=end.worker_name,
        died_at=datetime.fromisoformat(end.died_at),
    )
