"""The horses of one worker: how many jobs each may have, and what becomes of them."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from django.db import connections

from .. import events
from ..conf import settings
from ..stores.base import Claim, boottime
from .horse import Horse
from .ride import ride

if TYPE_CHECKING:
    from .worker import ResilientWorker

# Seconds of work that lie ready for a horse: what a job of higher priority waits for at most.
_AHEAD = 0.02
# Seconds after which what lies ready behind a job is taken back: it took longer than jobs before.
PATIENCE = 0.05
_SWIFT = 8  # jobs that lie ready at least: none does when they take longer than that allows
LAPSE = 0.8  # part of a lease within which a claimed job is begun, or left to others
_REST = 1.0  # seconds until a horse that died before its first job is replaced


class Stable:
    """Forks horses, spreads claims over them, and takes back what waits too long."""

    def __init__(self, worker: ResilientWorker) -> None:
        self.worker = worker
        self.horses: list[Horse] = []
        # Seconds that a job takes: a long one counts at once, the others little by little.
        self._pace = _AHEAD
        self._rests_until = 0.0

    # ---- questions -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Tell whether no horse has anything to do."""
        return not any(horse.given for horse in self.horses)

    @property
    def is_swift(self) -> bool:
        """Tell whether jobs are so short that many of their ends are told together."""
        return self.depth() > 1

    @property
    def has_idle(self) -> bool:
        """Tell whether a horse has nothing to do."""
        return any(horse.is_idle for horse in self.horses)

    @property
    def is_busy(self) -> bool:
        """Tell whether every horse has something to do."""
        return bool(self.horses) and not self.has_idle

    def room(self, waiting: int, *, reserve: int = 0) -> int:
        """How many more jobs to claim now: 0 as long as every horse has enough to go on with.

        *waiting* jobs are claimed already; *reserve* as many again may be as horses take.
        """
        depth = self.depth()
        horses = [horse for horse in self.horses if not horse.is_spent]
        if not any(len(horse.given) * 2 < depth or horse.is_idle for horse in horses):
            return 0
        room = sum(max(depth - len(horse.given), 0) for horse in horses)
        if waiting >= room:
            return 0
        if depth > 1:
            room += reserve * depth * len(horses)
        return room - waiting

    def depth(self) -> int:
        """How many jobs may lie with one horse: many that take some milliseconds, else one, whose
        end is then settled before the next begins."""
        if settings.HORSE_MAX_JOBS == 1:
            return 1
        many = int(_AHEAD / max(self._pace, 1e-6))
        return min(settings.PREFETCH, many) if many >= _SWIFT else 1

    def performing(self) -> list[Claim]:
        """The job of each busy horse."""
        return [claim for horse in self.horses if (claim := horse.current) is not None]

    def horse_with(self, job_id: str) -> tuple[Horse, Claim] | None:
        """The horse that has a job, performing it or not yet."""
        for horse in self.horses:
            for claim in horse.given.values():
                if claim.job_id == job_id:
                    return horse, claim
        return None

    # ---- changes -------------------------------------------------------------------------------

    def fill(self) -> None:
        """Fork what is missing."""
        if len(self.horses) >= settings.CONCURRENCY or boottime() < self._rests_until:
            return
        # No socket may be shared across the fork: worker and horse each open their own.
        connections.close_all()
        self.worker.job_connection.connection_pool.disconnect()
        if not self.horses:
            gc.collect()
        gc.freeze()  # so that the horse's collector does not write to, and so copy, shared pages
        while len(self.horses) < settings.CONCURRENCY:
            others = [horse.channel for horse in self.horses]
            try:
                self.horses.append(Horse(partial(ride, self.worker, others)))
            except OSError as error:  # memory, process ids or files have run out
                events.NO_HORSE.log(cause=error)
                self._rests_until = boottime() + _REST
                break
        gc.unfreeze()

    def hand_over(self, waiting: list[Claim]) -> list[tuple[Horse, Claim]]:
        """Give horses what they have room for, a job each in turn, and take it out of *waiting*."""
        share = self._share(waiting)
        handed = []
        for horse, claims in share:
            if not claims:
                continue
            if horse.give(claims, settings.LEASE * LAPSE):
                handed += [(horse, claim) for claim in claims]
                continue
            waiting[:0] = claims  # it never saw them
        return handed

    def learn(self, seconds: float) -> None:
        """Take note of how long a job took."""
        is_long = seconds > _AHEAD
        self._pace = seconds if is_long else 0.8 * min(self._pace, _AHEAD) + 0.2 * seconds

    def take_back_late(self) -> list[Claim]:
        """Return what has lain ready for too long."""
        limit = boottime() - PATIENCE
        late = []
        for horse in self.horses:
            if len(horse.given) > 1 and horse.began_at < limit:
                late += horse.take_back()
                if late and horse.current is not None:
                    self.learn(boottime() - horse.began_at)
        return late

    def remove(self, horse: Horse) -> None:
        """Forget a dead horse, or let one go that is spent."""
        self.horses.remove(horse)
        if horse.death is None:
            horse.dismiss()
            return
        horse.channel.close()
        if not horse.jobs_done and boottime() - horse.born_at < _REST:
            self._rests_until = boottime() + _REST

    def dead(self) -> Iterator[Horse]:
        """Those that ended by themselves."""
        return (horse for horse in list(self.horses) if horse.death is not None)

    # ---- private -------------------------------------------------------------------------------

    def _share(self, waiting: list[Claim]) -> Iterable[tuple[Horse, list[Claim]]]:
        if not waiting:
            return []
        depth = self.depth()
        able = [horse for horse in self.horses if not horse.is_spent and horse.death is None]
        share: list[tuple[Horse, list[Claim]]] = [(horse, []) for horse in able]
        while waiting:
            open_ = [each for each in share if len(each[0].given) + len(each[1]) < depth]
            if not open_:
                break
            least = min(open_, key=lambda each: len(each[0].given) + len(each[1]))
            least[1].append(waiting.pop(0))
        return share
