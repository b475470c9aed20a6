"""The contract that both stores keep, and the values that pass through it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from ..jobs import JobSnapshot
from ..outcomes import Settlement


class Verdict(StrEnum):
    """What a store says of a settlement."""

    WON = "won"
    SETTLED = "settled"  # the same end was recorded before: go on as after WON
    LOST = "lost"  # another worker took the job over: forget it
    FAILED = "failed"  # a key of the job's is spoilt; nothing is recorded: try again later
    UNKNOWN = "unknown"  # the store holds nothing of the job: ask the other one


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker took from a store. ``token`` is what proves the ownership there."""

    snapshot: JobSnapshot
    store: str
    token: str
    attempt: int = 0
    version: int = 0
    rescues: int = 0
    bare: bool = False  # in Redis without a row, as far as Redis knows
    taken_at: float = field(default_factory=lambda: boottime())

    @property
    def job_id(self) -> str:
        """The id that both stores know."""
        return self.snapshot.job_id

    def about(self) -> dict[str, Any]:
        """What a log line about the attempt says, this one counted."""
        return self.snapshot.about(self.attempt + 1)

    @property
    def key(self) -> tuple[str, str]:
        """What tells this claim from every other: the job's id and the token."""
        return self.job_id, self.token


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: a worker by name, for how long a claim holds (seconds)."""

    name: str
    lease: float


class Store(Protocol):
    """Where jobs wait and from where they are executed.

    Each method answers in bounded time; a store that can't raises StoreRefused (surely nothing was
    applied) or StoreAmbiguous (it may have been). No method raises for one bad job among many.
    """

    name: str

    def claim(self, claimant: Claimant, queue_names: Sequence[str], limit: int) -> list[Claim]:
        """Take up to *limit* due jobs, those of the first queue first."""

    def renew(self, claimant: Claimant, claims: Collection[Claim]) -> set[str]:
        """Extend the claims; return the tokens of those that are this worker's no longer."""

    def release(self, claim: Claim) -> bool:
        """Give a job back that was not started; False when it was not this worker's any more."""

    def settle(self, claim: Claim, settlement: Settlement) -> Verdict:
        """Record how the attempt ended. Only the first settlement of an attempt counts."""


def boottime() -> float:
    """Seconds that also pass while the machine sleeps or the process is stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_BOOTTIME else time.monotonic()


_HAS_BOOTTIME = hasattr(time, "CLOCK_BOOTTIME")  # Linux; elsewhere the monotonic clock has to do
