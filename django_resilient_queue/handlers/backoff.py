"""How long a job waits between its attempts. Delays are drawn when a job is enqueued."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from ..conf import Priority

LONGEST = 3600.0  # seconds
_SPREAD = 1.5  # jobs that failed together come back over half of their delay


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay before the first retry, in seconds, and what each one after it is multiplied by."""

    first: float
    factor: float = 1.0
    cap: float = LONGEST
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what would be no delay."""
        if not (0 <= self.first <= self.cap < math.inf and self.factor >= 1 and self.spread >= 1):
            raise ValueError(f"a delay is at least 0 s and at most its cap, unlike in {self}")

    def intervals(
        self, retries: int, *, draw: Callable[[float, float], float] = random.uniform
    ) -> list[int]:
        """Draw the delays before so many retries, in whole seconds as rq takes them."""
        return [self._interval(n, draw) for n in range(retries)]

    def _interval(self, n: int, draw: Callable[[float, float], float]) -> int:
        # The exponent is bounded: a float's end is at 2 ** 1024.
        delay = min(self.first * self.factor ** min(n, 60), self.cap)
        drawn = min(draw(delay, delay * self.spread), self.cap)
        # Up or down at random: rounding alone would undo the spread of short delays.
        return int(drawn + draw(0.0, 0.999))


def exponential(first: float, *, cap: float = LONGEST) -> Backoff:
    """Wait *first* seconds, then twice as long each time, up to *cap*, and up to half as long again
    at random."""
    return Backoff(first, 2.0, cap, _SPREAD)


def fixed(seconds: float) -> Backoff:
    """Wait the same time before each retry."""
    return Backoff(seconds, cap=max(seconds, LONGEST))


@dataclass(frozen=True, slots=True)
class Effort:
    """How often a job is attempted, the first time included, and the delays in between."""

    attempts: int
    backoff: Backoff


_EFFORTS = (
    (Priority.CRITICAL, Effort(5, exponential(1))),
    (Priority.HIGH, Effort(4, exponential(2))),
    (Priority.NORMAL, Effort(3, exponential(5))),
    (Priority.LOW, Effort(2, exponential(10))),
)


def effort_for(priority: int) -> Effort:
    """Return what a job of this priority (1 to 20) is worth, unless its handler says otherwise."""
    return next(effort for least, effort in _EFFORTS if priority >= least)
