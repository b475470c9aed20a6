"""Redis's copy of what is paused, kept in line with the table."""

from __future__ import annotations

from ..models import PausedQueue
from ..stores.keys import our_key
from .station import Station

# Whoever pauses a queue writes the table, then Redis: only a difference that lasts is an omission.
_OMITTED = 1.0  # seconds


def tell_pauses(station: Station) -> None:
    """Tell Redis, which may have lost it, what is paused, before a worker claims there."""
    names = _names(station)
    if names:
        station.redis.link.call("SADD", our_key("paused"), *names)


def correct_pauses(station: Station) -> int:
    """Mend what Redis has missed of pauses and their ends; returns how many."""
    wanted, link, key = _names(station), station.redis.link, our_key("paused")
    had = {name.decode() for name in link.call("SMEMBERS", key)}
    corrected = 0
    _forget_others(station, wanted | had)
    for name in wanted | had:
        adds, suspicion = name in wanted, station.suspicions
        suspicion.clear(("pause", name, not adds))
        mark = ("pause", name, adds)
        if (name in had) == adds:
            suspicion.clear(mark)
        elif suspicion.clock() - suspicion.mark(mark) >= _OMITTED:
            link.call("SADD" if adds else "SREM", key, name)
            corrected += 1
    return corrected


def _forget_others(station: Station, names: set[str]) -> None:
    """A name that is neither here nor there is in line: what was suspected of it is over."""
    marks = station.suspicions.marks
    pauses = [key for key in marks if isinstance(key, tuple) and key[0] == "pause"]
    for key in pauses:
        if key[1] not in names:
            station.suspicions.clear(key)


def _names(station: Station) -> set[str]:
    with station.table.statement():
        return PausedQueue.objects.using(station.table.alias).names()
