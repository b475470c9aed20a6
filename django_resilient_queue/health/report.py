"""The health report: values, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..facts import QueueCounts, WorkerFacts


class Status(StrEnum):
    """How things stand, from good to bad; what leads to which is said in `reasons.py`."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    DOWN = "down"

    @property
    def rank(self) -> int:
        """0 for healthy, 3 for down."""
        return list(Status).index(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the status is not better: a code that stays, and a sentence without names of servers."""

    code: str
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether a store takes jobs. ``cause`` says why not; ``latency`` is of one small write
    (seconds)."""

    is_up: bool
    latency: float | None = None
    cause: str = ""
    away_since: datetime | None = None  # as this process saw it

    def as_json(self) -> dict[str, Any]:
        """As JSON values, the latency in milliseconds."""
        latency = None if self.latency is None else round(self.latency * 1000, 2)
        return {
            "status": "up" if self.is_up else "away",
            "latency_ms": latency,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """One Redis. Failures and circuit are those of the process that made the report."""

    address: str
    store: StoreHealth
    consecutive_failures: int
    circuit: str
    is_refusing: bool  # the circuit is open, and not yet due for a probe

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "address": self.address,
            **self.store.as_json(),
            "consecutive_failures": self.consecutive_failures,
            "circuit": self.circuit,
        }


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """One queue. ``redis`` and ``database`` are None where nobody could say; ``waiting`` are those
    of both, each job once, and ``oldest`` says since when one could have run."""

    name: str
    broker: str
    redis: QueueCounts | None
    database: QueueCounts | None
    waiting: int
    oldest: datetime | None
    workers: int | None
    is_paused: bool


@dataclass(frozen=True, slots=True)
class OutageHealth:
    """The newest outage; ``ended_at`` is None while it lasts."""

    broker: str
    started_at: datetime
    ended_at: datetime | None
    cause: str
    jobs_executed: int
    jobs_drained: int


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What there is to know. Parts that only a store knows which is away are None."""

    status: Status
    reasons: Sequence[Reason]
    checked_at: datetime
    brokers: Sequence[BrokerHealth]
    database: StoreHealth
    queues: Sequence[QueueHealth]
    workers: Sequence[WorkerFacts] | None
    is_falling_back: bool
    rows: Mapping[str, int] | None
    rows_are_capped: bool
    oldest_row: datetime | None
    look_due: datetime | None  # when the row that waits the longest was due to be reconciled
    reconcilers: Mapping[str, str] | None
    dead_letters: Mapping[str, Any] | None
    last_outage: OutageHealth | None
    open_outages: Sequence[OutageHealth]
    paused: Sequence[str]  # names of queues, "" for all
    is_suspended: bool
    unprotected: int
    counts: Mapping[str, int] | None
    loss_paths: Sequence[Mapping[str, Any]]
    lost: Mapping[str, int] | None = None  # known to be, by the code of the path
    untold: Sequence[str] = ()  # stores that take jobs, and did not tell in time what lies in them

    @property
    def summary(self) -> dict[str, Any]:
        """The short form, for anybody: status and reasons."""
        return {
            "status": self.status.value,
            "reasons": [asdict(reason) for reason in self.reasons],
        }

    def age(self, since: datetime | None) -> float | None:
        """Seconds from a moment to the report."""
        return None if since is None else max((self.checked_at - since).total_seconds(), 0.0)

    @property
    def backlog(self) -> int:
        """Jobs that wait in the database alone, to be executed there or drained."""
        return sum(queue.database.waiting for queue in self.queues if queue.database)

    def unserved(self) -> list[str]:
        """The names of queues from which no live worker takes jobs."""
        return [queue.name for queue in self.queues if queue.workers == 0]

    def as_json(self) -> dict[str, Any]:
        """The whole as JSON values; times in ISO 8601, ages in seconds."""
        return {
            **self.summary,
            "checked_at": self.checked_at.isoformat(),
            "redis": self._redis(),
            "database": self.database.as_json(),
            "fallback": self._fallback(),
            "workers": self._workers(),
            "queues": [self._queue(queue) for queue in self.queues],
            "dead_letters": None if self.dead_letters is None else dict(self.dead_letters),
            "last_outage": _outage(self.last_outage),
            "paused": [name or "*" for name in self.paused],
            "suspended": self.is_suspended,
            "unprotected": self.unprotected,
            "metrics": self._metrics(),
        }

    def _redis(self) -> dict[str, Any]:
        """The one that is worst off, and all of them where there are several."""
        worst = max(self.brokers, key=lambda b: (not b.store.is_up, b.store.latency or 0))
        more = [each.as_json() for each in self.brokers] if len(self.brokers) > 1 else []
        return {**worst.as_json(), **({"servers": more} if more else {})}

    def _fallback(self) -> dict[str, Any]:
        rows = None if self.rows is None else dict(self.rows)
        return {
            "active": self.is_falling_back,
            "rows": rows,
            "rows_are_at_least": self.rows_are_capped,
            "oldest_seconds": self.age(self.oldest_row),
        }

    def _workers(self) -> dict[str, Any]:
        workers = None if self.workers is None else list(self.workers)
        modes = [str(worker.mode) or "other" for worker in workers or ()]
        return {
            "alive": None if workers is None else len(workers),
            "by_mode": {mode: modes.count(mode) for mode in sorted(set(modes))},
            "queues_without": self.unserved(),
        }

    def _queue(self, queue: QueueHealth) -> dict[str, Any]:
        return {
            "name": queue.name,
            "waiting": queue.waiting,
            "oldest_seconds": self.age(queue.oldest),
            "workers": queue.workers,
            "paused": queue.is_paused,
            "redis": self._counts(queue.redis),
            "database": self._counts(queue.database),
        }

    def _counts(self, counts: QueueCounts | None) -> dict[str, Any] | None:
        if counts is None:
            return None
        known = asdict(counts)
        known["oldest_seconds"] = self.age(known.pop("oldest"))
        return known

    def _metrics(self) -> dict[str, Any] | None:
        if self.counts is None:
            return None
        good, bad = self.counts["jobs_finished"], self.counts["jobs_failed"]
        return {
            "total": good + bad,
            "successful": good,
            "failed": bad,
            "retried": self.counts["jobs_retried"],
            "fallback_jobs": self.counts["jobs_from_database"],
            "lost": None if self.lost is None else sum(self.lost.values()),
            "lost_by_path": None if self.lost is None else dict(self.lost),
            "loss_paths": [dict(path) for path in self.loss_paths],
        }


def _outage(outage: OutageHealth | None) -> dict[str, Any] | None:
    if outage is None:
        return None
    known = asdict(outage)
    ended = outage.ended_at.isoformat() if outage.ended_at else None
    return {**known, "started_at": outage.started_at.isoformat(), "ended_at": ended}
