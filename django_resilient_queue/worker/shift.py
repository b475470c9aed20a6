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
from .control import Control
from .errands import Errands
from .horse import Horse
from .housekeeping import Housekeeping
from .modes import Modes
from .order import Report
from .settling import Settling
from .stable import PATIENCE, Stable
from .supply import Supply
from .troubles import Troubles
from .waiting import Waiting

if TYPE_CHECKING:
    from .worker import ResilientWorker

_CROWDED = 0.05  # seconds without a wait for jobs after another worker was faster
_BREATH = 0.005  # seconds between two looks at what is to be settled
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
        self.supply = Supply(
            worker, self.modes, self.stable, self.troubles, self.waits, is_burst=burst
        )
        self.completed = 0
        self.stopping = False
        self.idle_since = boottime()
        self._kept_at = 0.0  # when leases were last renewed in mid-errand

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
        self.supply.give_back(self.supply.not_begun())
        return self.stable.is_idle

    def _is_out_of_work(self) -> bool:
        """Tell whether a burst, or a limited patience, is at its end."""
        if self.supply.waiting or not self.stable.is_idle:
            return False
        if self.burst and self.modes.mode != Mode.STARTING:
            return not self.supply.may_be_more and not (self.modes.uses_redis and self._drained())
        idle = boottime() - self.idle_since
        return self.max_idle_time is not None and idle >= self.max_idle_time

    def _drained(self) -> bool:
        """In a burst, what waits in the table belongs to the work too; True if there was any."""
        try:
            if not self.modes.database_is_here:
                return False
            self.supply.expect_more()
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
        if room > 0 and self.supply.should_look():
            self.supply.look(room)
        if self.supply.waiting:
            self.supply.hand_over()

    def _room(self) -> int:
        most = self.max_jobs
        if most is not None:
            most -= self.completed + len(self.hand.claims)
        return self.supply.room(most)

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
        self.supply.look(room)
        if self.supply.waiting:
            self.supply.hand_over()
        else:
            # A list has entries, yet none for us: another worker was faster.
            self.waits.be_quiet(max(_CROWDED, self.troubles.rest_left("claim")))

    def _patience(self, room: int) -> float:
        timeout = min(self.housekeeping.next_due(), settings.HEARTBEAT_INTERVAL)
        if room > 0:
            if self.modes.uses_database:
                timeout = min(timeout, self.supply.poll())
            if self.supply.may_be_more and (self.modes.uses_redis or self.modes.uses_database):
                return 0.0
        if self.supply.waiting or any(len(horse.given) > 1 for horse in self.stable.horses):
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
            self.supply.release(claim)
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
            self.supply.recall(horse)
            if horse.is_idle:
                self.stable.remove(horse)
        self.supply.waiting[:0] = self.stable.take_back_late()
        self.stable.fill()

    def _bury(self, horse: Horse) -> None:
        """What it had begun has ended badly; what it had not goes to another."""
        self.supply.recall(horse)
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
        self.supply.give_back(self.supply.not_begun())
        for horse in list(self.stable.horses):
            if not horse.is_idle:  # a cold shutdown: the job was cut, and is given back
                horse.bury()
                for claim in list(horse.given.values()):
                    self.supply.release(claim)
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
