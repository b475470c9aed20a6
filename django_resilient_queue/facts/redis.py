"""What lies in the queues of one Redis, by one script; no job is decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..jobs import moment
from ..stores.keys import Keys
from ..stores.links import RedisLink, script
from .values import QueueCounts, WorkerFacts

MOST_WORKERS = 1000  # of more, so many are looked at


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The queues by name, the workers that rq knows, and how many there are of them; how many jobs
    have no row; names of paused queues (``""`` for all), and whether ``rqsuspend`` stops all."""

    queues: Mapping[str, QueueCounts]
    workers: Sequence[WorkerFacts]
    worker_count: int
    unprotected: int
    is_suspended: bool
    paused: frozenset[str]


def redis_facts(
    link: RedisLink, address: str, queue_names: Sequence[str], keys: Keys | None = None
) -> RedisFacts:
    """Ask once. Raises StoreRefused, StoreAmbiguous, or redis-py's ResponseError."""
    keys = keys or Keys()
    raw = link.run(
        script("count"),
        [keys.queue_prefix + name for name in queue_names],
        *keys.head,
        MOST_WORKERS,
        *queue_names,
    )
    queues, count, workers, unprotected, suspended, paused = json.loads(raw.decode("latin-1"))
    return RedisFacts(
        {name: _counts(*each) for name, each in zip(queue_names, queues, strict=True)},
        [_worker(address, *map(_text, each)) for each in workers],
        count,
        unprotected,
        bool(suspended),
        frozenset(map(_text, paused)),
    )


def _counts(
    waiting: int, active: int, scheduled: int, deferred: int, failed: int, oldest: str
) -> QueueCounts:
    return QueueCounts(waiting, active, scheduled, deferred, failed, _moment(oldest))


def _worker(
    address: str, name: str, heartbeat: str, queues: str, state: str, ours: str
) -> WorkerFacts:
    return WorkerFacts(
        name,
        address,
        "redis" if ours else "",
        frozenset(queues.split(",")),
        _moment(heartbeat) or datetime.fromtimestamp(0, UTC),
    )


def _moment(text: str) -> datetime | None:
    with suppress(ValueError):
        return moment(text.encode("latin-1")) if text else None
    return None


def _text(word: Any) -> str:
    return str(word).encode("latin-1").decode("utf-8", "replace")
