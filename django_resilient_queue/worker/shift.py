"""The supervising loop: claim, hand over, hear, settle. One thread, woken by pipes and sockets."""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from ..conf import settings
from ..exceptions import StoreError
from ..models.worker_heartbeat import Mode
from ..outcomes import Attempt, Failure, Reason, Settlement, fail, stop
from ..recovery.drain import drain
from ..stores.base import Claim, boottime
from ..stores.redis import EpochChanged
from .horse import Horse, HorseDied
from .housekeeping import Housekeeping
from .modes import Modes
from .settling import Settling
from .waker import Waker

if TYPE_CHECKING:
    from .worker import ResilientWorker

_DATABASE_POLL = 0.1  # seconds between two looks into an empty table
_REDIS_POLL = 1.0  # seconds between two looks into queues whose wait says that they are empty
_SUSPENDED_POLL = 1.0  # seconds between two looks whether `rqresume` was called
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
        self.housekeeping = Housekeeping(worker, self.modes)
        self.waker: Waker | None = None
        self.horse: Horse | None = None
        self.waiting: list[Claim] = []
        self.completed = 0
        self.stopping = False
        self.idle_since = boottime()
        self._looked_at = 0.0
        self._bell, self._bell_end = socket.socketpair()

    # ---- the loop ------------------------------------------------------------------------------

    def run(self) -> bool:
        """Work until there is a reason to end; True if any job was performed."""
        self._install_bell()
        try:
            while not self._is_over():
                self.modes.tick()
                self._settle()
                self.housekeeping.tick()
                if self._claim_and_start():
                    continue
                if self._is_out_of_work():
                    break
                self._wait()
        finally:
            with _undisturbed():
                self._end()
        return bool(self.completed)

    def request_stop(self) -> None:
        """End after the job in hand (warm shutdown)."""
        self.stopping = True

    def _is_over(self) -> bool:
        if self.max_jobs is not None and self.completed >= self.max_jobs:
            self.stopping = True
        return self.stopping and (self.horse is None or self.horse.is_idle)

    def _is_out_of_work(self) -> bool:
        """Tell whether a burst, or a limited patience, is at its end."""
        if self.horse is not None and not self.horse.is_idle:
            return False
        if self.burst and self.modes.mode != Mode.STARTING:
            return not (self.modes.uses_redis and self._drained())
        idle = boottime() - self.idle_since
        return self.max_idle_time is not None and idle >= self.max_idle_time

    def _drained(self) -> bool:
        """In a burst, what waits in the table belongs to the work too; True if there was any."""
        try:
            if not self.modes.database_is_here:
                return False
            return bool(drain(self.worker.station, settings.DRAIN_BATCH))
        except StoreError as error:
            self.modes.lose(error)
            return False

    # ---- claim and hand over -------------------------------------------------------------------

    def _claim_and_start(self) -> bool:
        if self.stopping or (self.horse is not None and not self.horse.is_idle):
            return False
        if not self.waiting and self._should_look():
            self.waiting = self._claim()
            self._looked_at = boottime()
        if not self.waiting:
            return False
        claim = self.waiting.pop(0)
        if boottime() - claim.taken_at > settings.LEASE * 0.8:
            # Stopped or asleep since the claim: somebody else may have the job by now.
            self._release(claim)
            return True
        self._start(claim)
        return True

    def _should_look(self) -> bool:
        """Ask Redis after each job, then only when a wait ends or now and then: an idle worker
        costs it next to nothing."""
        rested = boottime() - self._looked_at >= _REDIS_POLL
        return self.burst or rested or not self.modes.uses_redis

    def _claim(self) -> list[Claim]:
        asked_at = boottime()
        try:
            if self.modes.uses_redis:
                claims = self._claim_from_redis()
            elif self.modes.uses_database:
                claims = self.worker.station.table.claim(
                    self.worker.claimant, self.worker.ordered_queue_names(), 1
                )
            else:
                return []
        except StoreError as error:
            self.modes.lose(error)
            return []
        # The claim counts from when it was asked for: its answer may have been long under way.
        return [self.worker.took(claim, asked_at) for claim in claims]

    def _claim_from_redis(self) -> list[Claim]:
        store = self.worker.station.redis
        try:
            claims = store.claim(self.worker.claimant, self.worker.ordered_queue_names(), 1)
        except EpochChanged:
            self.modes.come_home()
            return []
        if store.is_suspended:
            self._wake().be_quiet(_SUSPENDED_POLL)
        return claims

    def _start(self, claim: Claim) -> None:
        if self.horse is None:
            self._close_waits()
            self.horse = Horse(self.worker)
        self._listen()
        try:
            self.horse.start(claim)
        except HorseDied:
            self.horse = None
            self.waiting.insert(0, claim)  # it never saw the job
            return
        self.worker.began(claim, self.horse.pid)

    def _listen(self) -> None:
        """Be there for commands before the job begins: nobody says one twice."""
        try:
            if self.modes.uses_redis:
                self.worker.listener()
        except StoreError as error:
            self.modes.lose(error)

    def _release(self, claim: Claim) -> None:
        self.hand.drop(claim)
        try:
            self.worker.station_store(claim).release(claim)
        except StoreError as error:  # rescued later: nobody lists it any more
            self.modes.lose(error)

    # ---- wait ----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Sleep until a report, a job, a command or a signal comes, or something is due."""
        busy = self.horse is not None and not self.horse.is_idle
        timeout = min(self.housekeeping.next_due(), settings.HEARTBEAT_INTERVAL)
        if self.modes.uses_database and not busy:
            timeout = min(timeout, _DATABASE_POLL)
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ, self._hear_bell)
            if self.horse is not None:
                selector.register(self.horse.pipe, selectors.EVENT_READ, self._hear_horse)
            try:
                self._register_redis(selector, idle=not (busy or self.stopping))
                for key, _ in selector.select(max(timeout, 0.001)):
                    key.data()
            except StoreError as error:
                self.modes.lose(error)
                self._close_waits()
        self._check_overtime()

    def _register_redis(self, selector: selectors.BaseSelector, *, idle: bool) -> None:
        if not self.modes.uses_redis:
            self._close_waits()
            return
        if idle:
            waker = self._wake()
            waker.check()
            waker.arm()
            for sock, key in waker.sockets().items():
                selector.register(sock, selectors.EVENT_READ, lambda key=key: self._hear_wake(key))
        listener = self.worker.listener()
        if listener is not None:
            selector.register(listener, selectors.EVENT_READ, self.worker.hear_command)

    def _wake(self) -> Waker:
        if self.waker is None:
            link = self.worker.station.redis.link
            keys = [queue.key for queue in self.worker.queues]
            self.waker = Waker(link, keys, patience=settings.WORKER_TIMEOUT)
        return self.waker

    def _hear_wake(self, key: str) -> None:
        if not self._wake().hear(key):
            return
        self.waiting = self._claim()
        if not self.waiting:
            # The list has entries, yet none for us: paused, or another worker was faster.
            self._wake().be_quiet(0.05)

    def _close_waits(self) -> None:
        if self.waker is not None:
            self.waker.close()
            self.waker = None
        self.worker.stop_listening()

    def _hear_bell(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    # ---- hear and settle -----------------------------------------------------------------------

    def _hear_horse(self) -> None:
        horse = self.horse
        if horse is None:
            return
        claim = horse.claim
        try:
            report = horse.hear()
        except HorseDied as death:
            self.horse = None
            if claim is not None:
                self._ended(claim, self._of_dead_horse(claim, death, horse))
            return
        if claim is None:
            return
        if report.settlement is not None:
            self._ended(claim, report.settlement)
            if horse.jobs_done >= settings.HORSE_MAX_JOBS:
                horse.dismiss()
                self.horse = None
        elif report.meta is not None:
            horse.claim = self.worker.save_meta(claim, report.meta)

    def _ended(self, claim: Claim, settlement: Settlement) -> None:
        self.worker.ended(claim)
        self.hand.end(claim, settlement)
        self.completed += 1
        self._looked_at, self.idle_since = 0.0, boottime()
        self.worker.log_end(claim, settlement)

    def _of_dead_horse(self, claim: Claim, death: HorseDied, horse: Horse) -> Settlement:
        now = timezone.now()
        began = now - timedelta(seconds=boottime() - horse.started_at)
        attempt = Attempt(self.worker.name, claim.token, began, now)
        if self.worker.was_stopped(claim):
            self.worker.call_stopped_callback(claim)
            return stop(claim.snapshot, attempt)
        self.worker.report_killed(claim, death)
        text = f"Work-horse terminated unexpectedly; waitpid returned {death.status}"
        if death.status and not death.status & 0xFF00:
            text += f" (signal {death.status & 0x7F})"
        reason = Reason.TIMEOUT if horse.is_overdue else Reason.KILLED
        return fail(claim.snapshot, attempt, Failure(reason, "", text, text + "; "))

    def _check_overtime(self) -> None:
        """Kill a horse that neither ends nor times out by itself (an extension that hogs the
        interpreter lock)."""
        horse = self.horse
        if horse is None or horse.claim is None:
            return
        timeout = horse.claim.snapshot.timeout or self.worker.queue_class.DEFAULT_TIMEOUT
        if timeout > 0 and boottime() - horse.started_at > timeout + settings.KILL_GRACE:
            horse.is_overdue = True
            horse.kill()

    def _settle(self) -> None:
        if not (self.hand.ended or self.hand.untold):
            return
        try:
            if self.modes.mode == Mode.REDIS:
                self.settling.tell_redis()
        except StoreError as error:
            self.modes.lose(error)
        if not self.modes.database_is_here:
            return
        try:
            self.settling.tell_database(redis_away=self.modes.mode == Mode.DATABASE)
            self.settling.bring_rows_in_line()
        except StoreError as error:
            self.modes.lose(error)

    # ---- the end -------------------------------------------------------------------------------

    def _install_bell(self) -> None:
        self._bell.setblocking(False)
        self._bell_end.setblocking(False)
        signal.set_wakeup_fd(self._bell_end.fileno(), warn_on_full_buffer=False)

    def _end(self) -> None:
        """Give back what was not started, settle what was done, and go."""
        if self.horse is not None:
            if self.horse.is_idle:
                self.horse.dismiss()
            else:  # a cold shutdown: the job was cut, and is given back
                claim = self.horse.claim
                self.horse.bury()
                if claim is not None:
                    self._release(claim)
        for claim in self.waiting:
            self._release(claim)
        until = boottime() + _LAST_WORDS
        while not self.hand.is_empty and boottime() < until:
            self.modes.tick()
            self._settle()
            if not self.hand.is_empty:
                time.sleep(0.1)
        for job_id, _ in self.hand.in_flight():
            self.worker.log.error("job not settled job_id=%s: it may run again", job_id)
        self._close_waits()
        self.modes.leave()
        signal.set_wakeup_fd(-1)
        self._bell.close()
        self._bell_end.close()


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
