"""Which workers live, as somebody sees it who looks now and then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..stores.base import boottime
from .values import WorkerFacts


@dataclass
class Sightings:
    """Remembers the heartbeats of the last look.

    A heartbeat that has changed within a lease is a live worker's, one that has not changed for a
    lease a dead one's, by the observer's own clock. Only the first look has to trust wall clocks.
    """

    clock: Callable[[], float] = boottime
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def alive(
        self, workers: Sequence[WorkerFacts], *, lease: float, now: datetime
    ) -> list[WorkerFacts]:
        """Return those that live; *lease* in seconds, *now* by the wall clock."""
        time = self.clock()
        before, self._seen = self._seen, {}
        for worker in workers:
            self._seen[worker.name] = self._look(worker, before.get(worker.name), time, lease)
        self._looked_at = time
        return [each for each in workers if self._lives(each, time, lease, now)]

    def _look(self, worker: WorkerFacts, old: _Seen | None, time: float, lease: float) -> _Seen:
        if old is not None and old.beat == worker.beat:
            return old
        # It was written after the last look, which tells something if that was not long ago.
        return _Seen(worker.beat, time, old is not None and time - self._looked_at <= lease)

    def _lives(self, worker: WorkerFacts, time: float, lease: float, now: datetime) -> bool:
        seen = self._seen[worker.name]
        if time - seen.since >= lease:
            return False
        return seen.is_fresh or abs(now - worker.seen_at) <= timedelta(seconds=lease)


@dataclass(frozen=True, slots=True)
class _Seen:
    beat: str
    since: float  # by the observer's clock
    is_fresh: bool  # it was written within a lease before that
