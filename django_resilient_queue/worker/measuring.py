"""What is counted of an attempt that has ended."""

from __future__ import annotations

from ..jobs import moment
from ..meter import Key, Kind, label_of
from ..outcomes import Ending, Settlement
from ..stores import measures
from ..stores.base import Claim

_BAD = (Ending.DEAD, Ending.STOPPED)


def measure(claim: Claim, end: Settlement) -> None:
    """Count an attempt, how long it took and, if it was the first, how long it was waited for."""
    measures.count(
        _performed(claim),
        failed=end.ending in _BAD,
        retried=end.ending is Ending.RETRY,
        seconds=end.seconds,
    )
    waited = _waited(claim, end) if claim.attempt == 0 else None
    if waited is not None:
        queue_name = claim.snapshot.queue_name
        measures.count(Key(Kind.WAITED, queue_name, store=claim.store), seconds=waited)


def measure_abandoned(claim: Claim) -> None:
    """Count the death of a job whose workers died with it; nobody knows for how long it ran."""
    measures.count(_performed(claim), failed=1)


def _performed(claim: Claim) -> Key:
    job = claim.snapshot
    return Key(Kind.PERFORMED, job.queue_name, label_of(job.job_type), claim.store)


def _waited(claim: Claim, end: Settlement) -> float | None:
    """Seconds from the enqueue to the start; None of a job that was scheduled for later, of which
    only its store knew when it was due."""
    enqueued_at, started_at = claim.snapshot.fields.get("enqueued_at"), end.fields.get("started_at")
    if not (enqueued_at and started_at):
        return None
    try:
        return max((moment(started_at) - moment(enqueued_at)).total_seconds(), 0.0)
    except ValueError:  # of somebody who writes times his own way
        return None
