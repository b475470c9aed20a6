"""Jobs that Redis alone has: when it loses its data they are lost, and these are counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from django.utils import timezone

from .. import events
from ..exceptions import StoreError
from ..facts import redis_facts
from ..health.exposure import paths_by_settings
from ..meter import Key, Kind
from ..models import Outage
from ..recovery.station import Station
from ..stores import measures
from ..stores.keys import our_key

_IN_REDIS_ALONE = ("outbox_off", "not_covered")
_UNPROTECTED = "unprotected"


class Exposed:
    """What one worker, the one on duty, saw at its last look. Jobs that came or ended since then
    are counted wrongly: it looks once a second."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self._epoch = ""
        self._jobs: Mapping[str, int] = {}

    @property
    def is_possible(self) -> bool:
        """Tell whether there may be such jobs while both stores are there."""
        mine = set(self.station.queue_names)
        paths = paths_by_settings()
        return any(mine.intersection(paths[path]) for path in _IN_REDIS_ALONE)

    def forget(self) -> None:
        """There are none any more: those that were there have got their rows."""
        self._jobs = {}

    def look(self) -> bool:
        """Count them by path, those that workers execute left out. Raises StoreError.

        False, and nothing is noted, when Redis has begun another epoch: it has lost its data.
        """
        jobs, known = self._count(), self.station.redis.epoch
        # Asked last: had the data gone before, its epoch would have gone, too.
        epoch = self.station.redis.link.call("GET", our_key("epoch")) or b""
        if epoch.decode() != known:
            return False
        self._jobs, self._epoch = jobs, known
        return True

    def tell(self, epoch: str) -> None:
        """Redis has this epoch: what it had in another one, and has no more, is lost.

        Raises StoreError.
        """
        if epoch == self._epoch or not any(self._jobs.values()):
            return
        left = self._count()
        before, self._jobs = self._jobs, {}
        lost = {path: count - left.get(path, 0) for path, count in before.items()}
        for path, count in lost.items():
            if count > 0:
                events.JOBS_LOST.log(path=path, count=count)
                measures.count(Key(Kind.LOST, detail=path), count)
        self._note(sum(count for count in lost.values() if count > 0))

    def _note(self, count: int) -> None:
        table = self.station.table
        # With the database away as well, sums by path are all that is left of it.
        with suppress(StoreError), table.statement():
            outages = Outage.objects.using(table.alias)
            outages.add_lost(self.station.broker.address, count, now=timezone.now())

    def _count(self) -> dict[str, int]:
        station = self.station
        facts = redis_facts(
            station.redis.link, station.broker.address, station.queue_names, station.redis.keys
        )
        found = {_UNPROTECTED: facts.unprotected}
        for path in _IN_REDIS_ALONE:
            names = set(paths_by_settings()[path]).intersection(station.queue_names)
            queues = [facts.queues[name] for name in names]
            found[path] = sum(each.waiting + each.scheduled + each.deferred for each in queues)
        return found
