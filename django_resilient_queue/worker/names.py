"""A worker's name is its own: claims and commands go by it, so a second one is refused.

Whether the first still lives is told as everywhere: its heartbeat moves, by the watcher's clock.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import exceptions as redis_errors

from ..conf import settings
from ..exceptions import StoreError
from ..models import WorkerHeartbeat
from ..stores.base import boottime

if TYPE_CHECKING:
    from .worker import ResilientWorker

OURS = (
    "drq"  # the field of a worker's hash in Redis which says that it tells of itself every second
)
_BREATH = 0.1  # seconds between two looks


@dataclass(frozen=True, slots=True)
class _Sign:
    """What one store says of the life of a worker; ``beat`` changes as long as it lives."""

    beat: str
    hostname: str
    pid: int
    ours: bool = True


def require_free_name(worker: ResilientWorker) -> None:
    """Raise ValueError, as rq, when a live worker has the name.

    One that died without a word is told from one that lives within a lease: only then does this
    wait. A store that is away is not asked.
    """
    first = _signs(worker)
    if all(_is_of_a_dead_process(sign) for sign in first.values()):
        return
    if not all(sign.ours for sign in first.values()):
        raise _taken(worker)  # rq's own workers say a word every seven minutes: rq's rule it is
    until = boottime() + settings.LEASE
    while boottime() < until:
        time.sleep(_BREATH)
        now = _signs(worker)
        if not now:
            return
        if any(store not in first or first[store].beat != now[store].beat for store in now):
            raise _taken(worker)


def _taken(worker: ResilientWorker) -> ValueError:
    return ValueError(f"There exists an active worker named {worker.name!r} already")


def _signs(worker: ResilientWorker) -> dict[str, _Sign]:
    """By store, where there is any."""
    found = {"redis": _in_redis(worker), "database": _in_database(worker)}
    return {store: sign for store, sign in found.items() if sign is not None}


def _in_redis(worker: ResilientWorker) -> _Sign | None:
    names = ("last_heartbeat", "hostname", "pid", OURS, "death")
    try:
        answers = worker.station.redis.link.call("HMGET", worker.key, *names)
    except (StoreError, redis_errors.ResponseError):
        return None
    beat, hostname, pid, ours, death = (raw.decode() if raw else "" for raw in answers)
    if death or not beat:
        return None
    return _Sign(beat, hostname, int(pid) if pid.isdecimal() else 0, bool(ours))


def _in_database(worker: ResilientWorker) -> _Sign | None:
    table = worker.station.table
    try:
        with table.statement():
            rows = WorkerHeartbeat.objects.using(table.alias).filter(name=worker.name)
            found = rows.values_list("beat", "hostname", "pid").first()
    except StoreError:
        return None
    return _Sign(*found) if found else None


def _is_of_a_dead_process(sign: _Sign) -> bool:
    """Tell whether it was a process of this very machine that is there no more."""
    if sign.hostname != socket.gethostname() or sign.pid in (0, os.getpid()):
        return False
    try:
        os.kill(sign.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and somebody else's
        return False
    return False
