"""The way of jobs from a store to a horse: when to claim more, and what goes back unbegun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conf import settings
from ..exceptions import StoreError
from ..stores.base import Claim, boottime
from ..stores.redis import EpochChanged
from .horse import Horse
from .modes import Modes
from .stable import LAPSE, PATIENCE, Stable
from .troubles import Troubles
from .waiting import Waiting

if TYPE_CHECKING:
    from .worker import ResilientWorker

# Seconds between two looks into an empty table. Many workers look less often each: one of them
# finds a job as soon as one of few would, and the database is asked no more often.
_SHORTEST_POLL, _LONGEST_POLL, _POLL_A_WORKER = 0.05, 0.5, 0.0125
_RESERVE = 1  # times what lies ready with the horses, claimed from the database besides
_REDIS_POLL = 15.0  # seconds between two looks into queues whose wait says that they are empty
_TROUBLED_POLL = 2.0  # the same while the keys of a queue are not what they should be


class Supply:
    """The jobs of one shift that were claimed, and that no horse has."""

    def __init__(
        self,
        worker: ResilientWorker,
        modes: Modes,
        stable: Stable,
        troubles: Troubles,
        waits: Waiting,
        *,
        is_burst: bool,
    ) -> None:
        self.worker, self.hand = worker, worker.hand
        self.modes, self.stable, self.troubles, self.waits = modes, stable, troubles, waits
        self.is_burst = is_burst
        self.waiting: list[Claim] = []
        self._handed_at = 0.0  # when waiting jobs last began to wait, or a horse took one
        self._looked_at = 0.0  # when the queues were last found empty, 0: they may have jobs

    @property
    def may_be_more(self) -> bool:
        """Tell whether the queues were not found empty at the last look."""
        return self._looked_at == 0.0

    def expect_more(self) -> None:
        """The queues may have jobs again."""
        self._looked_at = 0.0

    def room(self, most: int | None) -> int:
        """How many jobs may be claimed now, of *most* that are still to be performed."""
        # A claim from the database costs as much as ten jobs: it takes more of them at a time.
        reserve = _RESERVE if self.modes.uses_database else 0
        room = self.stable.room(len(self.waiting), reserve=reserve)
        return room if most is None else min(room, most)

    def should_look(self) -> bool:
        """Once the queues are empty, ask only when a wait ends or now and then: an idle worker
        costs Redis next to nothing."""
        pace = _REDIS_POLL if self.modes.uses_redis else self.poll()
        if self.modes.uses_redis and self.worker.station.redis.troubles:
            pace = _TROUBLED_POLL  # no wait ends when they are mended
        return self.is_burst or boottime() - self._looked_at >= pace

    def poll(self) -> float:
        """Seconds between two looks into an empty table."""
        workers = 1 + len(self.worker.station.watch.live())
        return min(max(_SHORTEST_POLL, _POLL_A_WORKER * workers), _LONGEST_POLL)

    def look(self, room: int) -> None:
        """Claim as many."""
        claims = self.claim(room)
        self.waiting += claims
        self._handed_at = boottime()
        self._looked_at = 0.0 if len(claims) == room else boottime()

    def claim(self, limit: int = 1) -> list[Claim]:
        """Claim from the store of the worker's mode."""
        if not self.worker.keeps_order:
            limit = 1  # the order changes with each job
        try:
            if self.modes.uses_redis:
                claims = self._claim_from_redis(limit)
            elif self.modes.uses_database:
                claims = self.worker.station.table.claim(
                    self.worker.claimant, self.worker.ordered_queue_names(), limit
                )
            else:
                return []
        except StoreError as error:
            self.modes.lose(error)
            return []
        return [self.worker.took(claim) for claim in claims]

    def _claim_from_redis(self, limit: int) -> list[Claim]:
        store = self.worker.station.redis
        claims: list[Claim] = []
        if self.troubles.rest_left("claim"):
            return claims
        with self.troubles.in_step("claim"):
            try:
                names = self.worker.ordered_queue_names()
                claims = store.claim(self.worker.claimant, names, limit)
                self.troubles.take("queue", store.troubles)
            except EpochChanged:
                self.modes.come_home()
        return claims

    def hand_over(self) -> None:
        """Give horses what waits; what has waited too long goes back."""
        # Stopped or asleep since the claim: somebody else may have the job by now.
        limit = boottime() - settings.LEASE * LAPSE
        self.give_back([claim for claim in self.waiting if claim.taken_at < limit])
        self.waits.listen()
        for horse, claim in self.stable.hand_over(self.waiting):
            self.worker.began(claim, horse.pid)
            self._handed_at = boottime()
        if boottime() - self._handed_at > PATIENCE:
            # No horse has taken any for a while: others are to have them.
            self.give_back(list(self.waiting))

    def give_back(self, claims: list[Claim]) -> None:
        """Return jobs that were not begun to where they were claimed, in their order."""
        for claim in reversed(claims):
            if claim in self.waiting:
                self.waiting.remove(claim)
            self.release(claim)

    def recall(self, horse: Horse) -> None:
        """Take back what a horse has not begun; it waits for another before the rest."""
        self.waiting[:0] = horse.take_back()

    def release(self, claim: Claim) -> None:
        """Return one job that this worker has let go of."""
        self.hand.drop(claim)
        try:
            with self.troubles.in_step("release"):
                self.worker.station_store(claim).release(claim)
        except StoreError as error:  # rescued later: nobody lists it any more
            self.modes.lose(error)

    def not_begun(self) -> list[Claim]:
        """Take everything back that no horse has begun."""
        laid_ready = [c for horse in self.stable.horses for c in horse.take_back()]
        return [*laid_ready, *self.waiting]
