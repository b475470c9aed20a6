"""What this process has counted and not yet written: sums by key. No store is known here.

A process that is killed takes along what it counted since its last write: figures, never jobs.
"""

from __future__ import annotations

import re
import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import forks

OTHER = "other"  # what a label says that would be one too many, or is no name
# Of one process. More types of jobs fold into OTHER, and when there are twice as many, queues: the
# other parts of a key are words of this package.
MOST_KEYS = 2000

# Bounds of buckets, in seconds, each inclusive; one more bucket takes the rest. Whoever changes
# them has to empty the table: its columns are counted by these.
ENQUEUE_BOUNDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01),
    *(0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
)
JOB_BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    *(2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
)
BUCKETS = len(JOB_BOUNDS) + 1

_TYPE = re.compile(r"[A-Za-z_][\w.:-]{0,254}", re.ASCII)


class Kind:
    """What is counted; each has labels of its own, and the last two no queue."""

    ENQUEUED = "enqueued"  # queue, job type, store; seconds until a store had the job
    PERFORMED = "performed"  # the same of attempts that ended; seconds of execution
    WAITED = "waited"  # queue, store; seconds from enqueue to start
    REFUSED = "refused"  # queue; detail: refused, uncertain
    UNPROTECTED = "unprotected"  # queue
    LOST = "lost"  # detail: the path
    DRAINED = "drained"
    OUTAGE = "outage"
    CIRCUIT = "circuit"  # detail: the state that a circuit changed to


BOUNDS: Mapping[str, tuple[float, ...]] = {
    Kind.ENQUEUED: ENQUEUE_BOUNDS,
    Kind.PERFORMED: JOB_BOUNDS,
    Kind.WAITED: JOB_BOUNDS,
}


class Key(NamedTuple):
    """What a sum is of; parts that a kind does not have are empty."""

    kind: str
    queue_name: str = ""
    job_type: str = ""
    store: str = ""
    detail: str = ""


@dataclass(slots=True)
class Sums:
    """How often, how often badly, how long in all and the longest; ``buckets`` not cumulative."""

    count: int = 0
    failed: int = 0
    retried: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, other: Sums) -> None:
        """Add other sums of the same key."""
        self.count += other.count
        self.failed += other.failed
        self.retried += other.retried
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]

    def plain(self) -> tuple[Any, ...]:
        """Return the same as values for a pipe."""
        return self.count, self.failed, self.retried, self.seconds, self.longest, self.buckets


class Meter:
    """Sums of one process. Thread-safe; a fork begins with none, so that nothing counts twice."""

    def __init__(self) -> None:
        self._sums: dict[Key, Sums] = {}
        self._lock = threading.Lock()
        _meters.add(self)

    def count(
        self,
        key: Key,
        count: int = 1,
        *,
        failed: int = 0,
        retried: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Count something, once or more often; each time it took *seconds*."""
        forks.notice()
        with self._lock:
            sums = self._sums.get(key) or self._new(key)
            sums.count += count
            sums.failed += failed
            sums.retried += retried
            if seconds is not None:
                sums.seconds += seconds * count
                sums.longest = max(sums.longest, seconds)
                sums.buckets[bisect_left(BOUNDS[key.kind], seconds)] += count

    def take(self) -> dict[Key, Sums]:
        """Return all there is; from now on it is the caller's."""
        forks.notice()
        with self._lock:
            taken, self._sums = self._sums, {}
            return taken

    def add(self, sums: Mapping[Key, Sums]) -> None:
        """Take sums over: of a horse, or such as could not be written."""
        forks.notice()
        with self._lock:
            for key, more in sums.items():
                (self._sums.get(key) or self._new(key)).add(more)

    def __bool__(self) -> bool:
        """Tell whether there is anything to write."""
        forks.notice()
        return bool(self._sums)

    def _new(self, key: Key) -> Sums:
        if len(self._sums) >= MOST_KEYS:
            key = key._replace(job_type=key.job_type and OTHER)
        if len(self._sums) >= 2 * MOST_KEYS and key not in self._sums:
            key = key._replace(queue_name=key.queue_name and OTHER)
        return self._sums.setdefault(key, Sums())

    def _begin_anew(self) -> None:
        self._sums, self._lock = {}, threading.Lock()


def plain(sums: Mapping[Key, Sums]) -> list[tuple[Any, ...]]:
    """Write sums as values for a pipe."""
    return [(tuple(key), each.plain()) for key, each in sums.items()]


def from_plain(values: Iterable[tuple[Any, ...]]) -> dict[Key, Sums]:
    """Read what ``plain`` wrote."""
    return {Key(*key): Sums(*sums) for key, sums in values}


def label_of(job_type: str) -> str:
    """Return a handler's name or a function's dotted path as it is; what is no name is OTHER."""
    return job_type if _TYPE.fullmatch(job_type) else OTHER


_meters: weakref.WeakSet[Meter] = weakref.WeakSet()


def _begin_anew() -> None:
    for meter in _meters:
        meter._begin_anew()


forks.renew_by(_begin_anew)
