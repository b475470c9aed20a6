"""What a worker asks of a horse, and what the horse says: values for the pipe, nothing pickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..jobs import JobSnapshot
from ..outcomes import Ending, Failure, Reason, Settlement
from ..stores.base import Claim


@dataclass(frozen=True, slots=True)
class Order:
    """A job for the horse to perform, unless it could not begin before ``begin_before``
    (boottime): then somebody else may have the job."""

    snapshot: JobSnapshot
    store: str
    execution_id: str
    begin_before: float
    attempt: int = 0

    @classmethod
    def plain(cls, claim: Claim, begin_before: float) -> tuple[Any, ...]:
        """Write the order of a claim."""
        job = claim.snapshot
        fields = dict(job.fields)
        head = job.job_id, job.queue_name, job.generation, fields
        return *head, claim.store, claim.token, begin_before, claim.attempt

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Order:
        """Read what ``plain`` wrote."""
        return cls(JobSnapshot(*plain[:4]), *plain[4:])


@dataclass(frozen=True, slots=True)
class Report:
    """What the horse says of an order: its settlement, or the job's new ``meta``, or neither when
    the order came too late to be begun."""

    number: int
    settlement: Settlement | None = None
    meta: bytes | None = None
    receipt: int = 0  # what the horse waits for until the meta is stored
    is_last: bool = False  # the horse has grown too large: another is to replace it
    counts: Sequence[tuple[Any, ...]] = ()  # what the job has counted, of jobs it has enqueued

    @property
    def is_end(self) -> bool:
        """Tell whether the horse is done with the order."""
        return self.meta is None

    def plain(self) -> tuple[Any, ...]:
        """Write the report."""
        end = self.settlement
        head = self.number, _plain(end) if end else None
        return *head, self.meta, self.receipt, self.is_last, self.counts

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Report:
        """Read what ``plain`` wrote."""
        number, end, *rest = plain
        return cls(number, _settlement(end) if end else None, *rest)


def _plain(end: Settlement) -> tuple[Any, ...]:
    failure = end.failure
    told = failure and (
        failure.reason.value,
        failure.error_class,
        failure.message,
        failure.traceback,
    )
    result = None if end.result is None else dict(end.result)
    head = end.ending.value, dict(end.fields), result, end.ttl, end.delay, end.at_front
    return *head, told, end.seconds, end.died_at, end.worker_name


def _settlement(plain: tuple[Any, ...]) -> Settlement:
    ending, fields, result, ttl, delay, at_front, told, seconds, died_at, worker_name = plain
    failure = Failure(Reason(told[0]), *told[1:]) if told else None
    rest = failure, seconds, died_at, worker_name
    return Settlement(Ending(ending), fields, result, ttl, delay, at_front, *rest)
