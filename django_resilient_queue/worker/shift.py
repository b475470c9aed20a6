"""The supervising loop: claim, hand over, hear, settle. One thread, woken by pipes and sockets."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import events
from ..conf import settings
from ..exceptions import StoreError
from ..models.worker_heartbeat import Mode
from ..outcomes import Settlement
from ..recovery.drain import drain
from ..stores import measures
from ..stores.base import Claim, boottime
from ..stores.redis import EpochChanged
from .control import Control
from .errands import Errands
from .horse import Horse
from .housekeeping import Housekeeping
from .modes import Modes
from .order import Report
from .settling import Settling
from .stable import LAPSE, PATIENCE, Stable
from .troubles import Troubles
from .waiting import Waiting

if TYPE_CHECKING:
    from .worker import ResilientWorker

# Seconds between two looks into an empty table. Many workers look less often each: one of them
# finds a job as soon as one of few would, and the database is asked no more often.
_SHORTEST_POLL, _LONGEST_POLL, _POLL_A_WORKER = 0.05, 0.5, 0.0125
_CROWDED = 0.05  # seconds without a wait for jobs after another worker was faster
_BREATH = 0.005  # seconds between two looks at what is to be settled
_RESERVE = 1  # times what lies ready with the horses, claimed from the database besides
_REDIS_POLL = 15.0  # seconds between two looks into queues whose wait says that they are empty
_TROUBLED_POLL = 2.0  # the same while the keys of a queue are not what they should be
_LAST_WORDS = 10.0  # seconds that a worker tries to settle what it did before it ends


class Shift:
    """One run of `work()`."""

    def __init__(
        self,
        worker: ResilientWorker,
        *,
        burst: bool,
        max_jobs: int | None,
        max_idle_time: int | None,
    ) -> None:
        self.worker, self.hand = worker, worker.hand
        self.burst, self.max_jobs, self.max_idle_time = burst, max_jobs, max_idle_time
        self.modes = Modes(worker.station, self.hand, worker.queue_names())
        self.settling = Settling(worker.station, self.hand)
        self.stable = Stable(worker)
        self.troubles = Troubles(worker.name)
        self.housekeeping = Housekeeping(
            worker, self.modes, self.troubles, lambda: self.stable.is_busy
        )
        self.control = Control(self)
        self.errands = Errands(self)
        self.waits = Waiting(worker, self.modes)
        self.waiting: list[Claim] = []  # claimed, and not with a horse
        self.completed = 0
        self.stopping = False
        self.idle_since = boottime()
        self._handed_at = 0.0  # when waiting jobs last began to wait, or a horse took one
        self._kept_at = 0.0  # when leases were last renewed in mid-errand
        self._looked_at = 0.0  # when the queues were last found empty, 0: they may have jobs

    # ---- the loop ------------------------------------------------------------------------------

    def run(self) -> bool:
        """Work until there is a reason to end; True if any job was performed."""
        with measures.tended():
            self._run()
        return bool(self.completed)

    def _run(self) -> None:
        self.stable.fill()
        self.waits.install_bell()
        try:
            while not self._is_over():
                self.modes.tick()
                self.worker.heed(self.worker.station.watch)
                self._settle(eager=self.stable.has_idle or not self.stable.is_swift)
                self.housekeeping.tick()
                self.errands.catch_up()
                self._tend_horses()
                self._claim_and_hand_over()
                if self._is_out_of_work():
                    break
                self._wait()
        finally:
            with _undisturbed():
                self._end()

    def request_stop(self) -> None:
        """End after the jobs in hand (warm shutdown): what no horse has begun is given back."""
        self.stopping = True

    def keep_leases(self) -> None:
        """Do what cannot wait while the worker waits for something else."""
        self.modes.tick()
        if boottime() - self._kept_at < settings.HEARTBEAT_INTERVAL:
            return
        self._kept_at = boottime()
        try:
            if self.modes.uses_redis:
                with self.troubles.in_step("tend"):
                    self.worker.tend()
        except StoreError as error:
            self.modes.lose(error)

    def _is_over(self) -> bool:
        if self.max_jobs is not None and self.completed >= self.max_jobs:
            self.stopping = True
        if not self.stopping:
            return False
        self.give_back(self._not_begun())
        return self.stable.is_idle

    def _is_out_of_work(self) -> bool:
        """Tell whether a burst, or a limited patience, is at its end."""
        if self.waiting or not self.stable.is_idle:
            return False
        if self.burst and self.modes.mode != Mode.STARTING:
            return self._looked_at != 0 and not (self.modes.uses_redis and self._drained())
        idle = boottime() - self.idle_since
        return self.max_idle_time is not None and idle >= self.max_idle_time

    def _drained(self) -> bool:
        """In a burst, what waits in the table belongs to the work too; True if there was any."""
        try:
            if not self.modes.database_is_here:
                return False
            self._looked_at = 0.0
            drained = 0
            with self.troubles.in_step("drain"):
                drained = drain(self.worker.station, settings.DRAIN_BATCH)
            return bool(drained)
        except StoreError as error:
            self.modes.lose(error)
            return False

    # ---- claim and hand over -------------------------------------------------------------------

    def _claim_and_hand_over(self) -> None:
        if self.stopping:
            return
        room = self._room()
        if room > 0 and self._should_look():
            self._look(room)
        if self.waiting:
            self._hand_over()

    def _room(self) -> int:
        """How many jobs may be claimed now."""
        # A claim from the database costs as much as ten jobs: it takes more of them at a time.
        reserve = _RESERVE if self.modes.uses_database else 0
        room = self.stable.room(len(self.waiting), reserve=reserve)
        if self.max_jobs is not None:
            room = min(room, self.max_jobs - self.completed - len(self.hand.claims))
        return room

    def _should_look(self) -> bool:
        """Once the queues are empty, ask only when a wait ends or now and then: an idle worker
        costs Redis next to nothing."""
        pace = _REDIS_POLL if self.modes.uses_redis else self._database_poll()
        if self.modes.uses_redis and self.worker.station.redis.troubles:
            pace = _TROUBLED_POLL  # no wait ends when they are mended
        return self.burst or boottime() - self._looked_at >= pace

    def _database_poll(self) -> float:
        workers = 1 + len(self.worker.station.watch.live())
        return min(max(_SHORTEST_POLL, _POLL_A_WORKER * workers), _LONGEST_POLL)

    def _look(self, room: int) -> None:
        claims = self._claim(room)
        self.waiting += claims
        self._handed_at = boottime()
        self._looked_at = 0.0 if len(claims) == room else boottime()

    def _claim(self, limit: int = 1) -> list[Claim]:
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

    def _hand_over(self) -> None:
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
            self._release(claim)

    def recall(self, horse: Horse) -> None:
        """Take back what a horse has not begun; it waits for another before the rest."""
        self.waiting[:0] = horse.take_back()

    def _release(self, claim: Claim) -> None:
        self.hand.drop(claim)
        try:
            with self.troubles.in_step("release"):
                self.worker.station_store(claim).release(claim)
        except StoreError as error:  # rescued later: nobody lists it any more
            self.modes.lose(error)

    def _not_begun(self) -> list[Claim]:
        laid_ready = [c for horse in self.stable.horses for c in horse.take_back()]
        return [*laid_ready, *self.waiting]

    # ---- wait ----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Sleep until a report, a job, a command or a signal comes, or something is due."""
        room = 0 if self.stopping else self._room()
        try:
            wakes = self.waits.wait(self._patience(room), self.stable.horses, for_jobs=room > 0)
        except StoreError as error:
            self.modes.lose(error)
            self.waits.close_redis()
            wakes = []
        for wake in wakes:
            if isinstance(wake, Horse):
                self.hear(wake)
        if any(isinstance(wake, str) for wake in wakes):
            self._answer_wake(room)

    def _answer_wake(self, room: int) -> None:
        if self.stopping:
            return
        self._look(room)
        if self.waiting:
            self._hand_over()
        else:
            # A list has entries, yet none for us: another worker was faster.
            self.waits.be_quiet(max(_CROWDED, self.troubles.rest_left("claim")))

    def _patience(self, room: int) -> float:
        timeout = min(self.housekeeping.next_due(), settings.HEARTBEAT_INTERVAL)
        if room > 0:
            if self.modes.uses_database:
                timeout = min(timeout, self._database_poll())
            if self._looked_at == 0.0 and (self.modes.uses_redis or self.modes.uses_database):
                return 0.0
        if self.waiting or any(len(horse.given) > 1 for horse in self.stable.horses):
            timeout = min(timeout, PATIENCE)
        if room > 0 and self.modes.uses_redis:
            timeout = min(timeout, self.waits.quiet_left or timeout)
        due = self.settling.next_due()
        if due is not None:  # not at once: a store that is away may have failed just now
            timeout = min(timeout, max(due, _BREATH, self.troubles.rest_left("settle")))
        return max(timeout, 0.001)

    # ---- hear and settle -----------------------------------------------------------------------

    def hear(self, horse: Horse) -> None:
        """Take in what a horse has reported."""
        for report in horse.hear():
            self.take_report(horse, report)

    def take_report(self, horse: Horse, report: Report) -> None:
        """One report: an end, something that the job saved, or that it came too late to begin."""
        claim = horse.note(report)
        measures.take_over(report.counts)
        if report.meta is not None:
            changed = self.worker.save_meta(claim, report.meta)
            self.hand.take(changed)
            horse.replace(report, changed)
        elif report.settlement is None:
            self.worker.ended()
            self._release(claim)
        else:
            self.end(claim, report.settlement)

    def end(self, claim: Claim, settlement: Settlement) -> None:
        self.worker.ended()
        self.hand.end(claim, settlement)
        self.completed += 1
        self.stable.learn(settlement.seconds)
        self.idle_since = boottime()
        self.worker.log_end(claim, settlement)

    def _tend_horses(self) -> None:
        """Replace those that died or are spent, and see to jobs that take too long."""
        self.control.check_overtime()
        for horse in self.stable.dead():
            self._bury(horse)
        for horse in [each for each in self.stable.horses if each.is_spent]:
            self.recall(horse)
            if horse.is_idle:
                self.stable.remove(horse)
        self.waiting[:0] = self.stable.take_back_late()
        self.stable.fill()

    def _bury(self, horse: Horse) -> None:
        """What it had begun has ended badly; what it had not goes to another."""
        self.recall(horse)
        for claim in list(horse.given.values()):
            self.end(claim, self.control.end_with(horse, claim))
        self.stable.remove(horse)

    def _settle(self, *, eager: bool = True) -> None:
        """Tell the stores what has ended. Not *eager*: in batches, while the horses are busy."""
        try:
            is_due = self.settling.ends_are_due(eager=eager)
            if self.modes.mode == Mode.REDIS and is_due and not self.troubles.rest_left("settle"):
                with self.troubles.in_step("settle"):
                    self._tell_redis()
        except StoreError as error:
            self.modes.lose(error)
        if not self.modes.database_is_here:
            if self.modes.mode != Mode.REDIS:
                self.settling.log_deaths()
            return
        try:
            if self.settling.ends_are_due(eager=eager):
                self.settling.tell_database(redis_away=self.modes.mode == Mode.DATABASE)
            if self.settling.rows_are_due(eager=eager):
                self.settling.bring_rows_in_line()
        except StoreError as error:
            self.modes.lose(error)

    def _tell_redis(self) -> None:
        problem = self.settling.tell_redis()
        if problem:
            self.troubles.note("end of a job", problem)
        elif not self.hand.aside:
            self.troubles.end("end of a job")

    # ---- the end -------------------------------------------------------------------------------

    def _end(self) -> None:
        """Give back what was not started, settle what was done, and go."""
        self.give_back(self._not_begun())
        for horse in list(self.stable.horses):
            if not horse.is_idle:  # a cold shutdown: the job was cut, and is given back
                horse.bury()
                for claim in list(horse.given.values()):
                    self._release(claim)
            self.stable.remove(horse)
        until = boottime() + _LAST_WORDS
        while not self._is_done() and boottime() < until:
            self.modes.tick()
            self._settle()
            self.errands.catch_up()
            if not self._is_done():
                time.sleep(0.1)
        for claim in self.hand.every_claim():
            events.JOB_NOT_SETTLED.log(claim.about(), job_id=claim.job_id)
        self.housekeeping.alerting.leave()
        self.waits.close()
        self.modes.leave()

    def _is_done(self) -> bool:
        return self.hand.is_empty and self.errands.is_done


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Take no more signals to end: it is ending, and cut short it would leave jobs behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
