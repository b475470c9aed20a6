"""Which workers live, as one observer sees it: no wall clocks of two machines are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..models import WorkerHeartbeat
from ..models.worker_heartbeat import Mode
from .base import boottime

_UNKNOWN = float("-inf")


@dataclass(frozen=True, slots=True)
class Seen:
    """A heartbeat row, and when (observer's clock) it was last seen to change.

    The write itself lies between two looks: surely after ``written_after``, the look at which the
    row still said something else.
    """

    name: str
    mode: str
    beat: str
    in_flight: frozenset[tuple[str, str]]
    moved_at: float
    written_after: float

    def holds(self, job_id: str) -> bool:
        """Tell whether the worker has the job in hand."""
        return any(each == job_id for each, _ in self.in_flight)


@dataclass
class Watch:
    """Reads the heartbeats of one Redis's workers and remembers when each last moved.

    A worker is stale when its row has not moved for a lease while the observer was looking: time
    in which the observer could not read, or was stopped, does not count.
    """

    alias: str
    broker: str
    me: str
    lease: Callable[[], float]
    clock: Callable[[], float] = boottime
    seen: dict[str, Seen] = field(default_factory=dict)
    looking_since: float | None = None
    looked_at: float = 0.0
    # What somebody asked this worker for, as of the last look: to end, to stop a job.
    is_to_stop: bool = False
    job_to_stop: str = ""

    def look(self) -> list[Seen]:
        """Read the rows once more; returns the live workers but this one."""
        rows = list(
            WorkerHeartbeat.objects.using(self.alias)
            .of(self.broker)
            .values_list("name", "mode", "beat", "in_flight", "is_to_stop", "job_to_stop")
        )
        now = self.clock()
        if self.looking_since is None or now - self.looked_at > self.lease() / 2:
            self.looking_since, self.seen = now, {}
        last_look, self.looked_at = self.looked_at, now
        before, self.seen = self.seen, {}
        self.is_to_stop, self.job_to_stop = False, ""
        for name, mode, beat, in_flight, is_to_stop, job_to_stop in rows:
            if name == self.me:
                self.is_to_stop, self.job_to_stop = is_to_stop, job_to_stop
            held = frozenset((job_id, token) for job_id, token in in_flight)
            old = before.get(name)
            if old is None:
                moved_at, written_after = now, _UNKNOWN
            elif old.beat == beat:
                moved_at, written_after = old.moved_at, old.written_after
            else:
                moved_at, written_after = now, last_look
            self.seen[name] = Seen(name, mode, beat, held, moved_at, written_after)
        return self.live()

    def live(self) -> list[Seen]:
        """The live workers but this one, as of the last look."""
        oldest = self.looked_at - self.lease()
        return [s for s in self.seen.values() if s.name != self.me and s.moved_at > oldest]

    def stale(self) -> list[Seen]:
        """The rows of workers that are gone."""
        oldest = self.looked_at - self.lease()
        return [s for s in self.seen.values() if s.name != self.me and s.moved_at <= oldest]

    def is_gone(self, name: str) -> bool:
        """Tell whether a worker is surely not there: stale, or without a row for a whole lease."""
        if name == self.me:
            return False
        if name in self.seen:
            return self.seen[name].moved_at <= self.looked_at - self.lease()
        since = self.looking_since
        return since is not None and self.looked_at - since >= self.lease()

    def all_wrote_since(self, moment: float) -> bool:
        """Tell whether every live worker has written its heartbeat after *moment*."""
        return all(worker.written_after >= moment for worker in self.live())

    def wrote_since(self, name: str, moment: float) -> bool:
        """Tell whether one worker has."""
        return name in self.seen and self.seen[name].written_after >= moment

    def is_held(self, job_id: str) -> bool:
        """Tell whether a live worker has the job in hand."""
        return any(worker.holds(job_id) for worker in self.live())

    def somebody_uses_redis(self) -> bool:
        """Tell whether a live worker claims from Redis."""
        return any(worker.mode == Mode.REDIS for worker in self.live())
