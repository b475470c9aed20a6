"""The values that facts consist of, the same for both stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..models.worker_heartbeat import Mode


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Jobs of one queue in one store. ``oldest`` is since when the longest waiting one could have
    been started, None where none waits."""

    waiting: int = 0
    active: int = 0
    scheduled: int = 0
    deferred: int = 0  # until another job has ended, or a rate limit lets it through
    failed: int = 0  # in rq's registry; the database has dead letters
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker as a store knows it; ``mode`` is empty for a worker that is not one of ours.

    ``queues`` is None where the store can't say all of them.
    """

    name: str
    broker: str
    mode: Mode | str
    queues: frozenset[str] | None
    seen_at: datetime
    hostname: str = ""
    beat: str = ""

    def serves(self, queue_name: str, broker: str) -> bool:
        """Tell whether it takes jobs of a queue, as far as is known."""
        return self.broker == broker and (self.queues is None or queue_name in self.queues)
