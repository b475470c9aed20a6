"""A work horse as its worker sees it: a process that is forked once and performs many jobs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..stores.base import Claim, boottime
from .channel import Channel, Closed, WorkerEnd
from .order import Order, Report


@dataclass(frozen=True, slots=True)
class Death:
    """How a horse ended, in the words of wait4."""

    pid: int
    status: int = 0
    usage: Any = None


class Horse:
    """One horse. Only the supervising loop uses it."""

    def __init__(self, ride: Callable[[Channel, int], None]) -> None:
        """Fork; *ride* is what the horse does, given its channel and its worker's pid."""
        self.given: dict[int, Claim] = {}  # orders without an end, in the order of performance
        self.began_at = boottime()  # since when it performs the first of them
        self.born_at = self.began_at
        self.is_overdue = False  # killed by its worker, because its job did not end in time
        self.is_spent = False  # gets no more jobs
        self.death: Death | None = None
        self.jobs_done = 0
        self._number = 0
        channel, parent = Channel(), os.getpid()
        try:
            self.pid = os.fork()
        except OSError:
            channel.worker_end().close()
            raise
        if self.pid == 0:
            ride(channel, parent)
        self.channel: WorkerEnd = channel.worker_end()
        with suppress(OSError):  # the horse does the same: whoever comes first
            os.setpgid(self.pid, self.pid)

    @property
    def is_idle(self) -> bool:
        """Tell whether it has nothing to do."""
        return not self.given

    @property
    def current(self) -> Claim | None:
        """The job that it performs, or is about to."""
        return next(iter(self.given.values()), None)

    def give(self, claims: Sequence[Claim], patience: float) -> bool:
        """Hand jobs over, to be begun within *patience* (seconds) of their claim or not at all.

        False when it is dead; then nobody has the jobs.
        """
        orders = {}
        for claim in claims:
            self._number += 1
            orders[self._number] = claim
        if not self.given:
            self.began_at = boottime()
        try:
            self.channel.give(
                (number, Order.plain(claim, claim.taken_at + patience))
                for number, claim in orders.items()
            )
        except Closed:
            self.bury()
            return False
        self.given.update(orders)
        return True

    def flush(self) -> None:
        """Send what the pipe had no room for."""
        try:
            self.channel.flush()
        except Closed:
            self.bury()

    def take_back(self) -> list[Claim]:
        """Return the jobs that it has not begun, in their order; it will not begin them."""
        return [self.given.pop(number) for number in self.channel.take_back()]

    def hear(self) -> list[Report]:
        """Read what it has reported so far; afterwards it may turn out to be dead."""
        try:
            return [Report.of(plain) for plain in self.channel.hear()]
        except Closed:
            self.bury()
            return []

    def note(self, report: Report) -> Claim:
        """Take a report into account; returns the job that it is of."""
        claim = self.given[report.number]
        if report.is_end:
            del self.given[report.number]
            self.jobs_done += 1
            self.began_at = boottime()
            self.is_spent = self.is_spent or report.is_last
        return claim

    def replace(self, report: Report, claim: Claim) -> None:
        """Note that a job has changed while it is performed, as reported; it goes on now."""
        self.given[report.number] = claim
        if report.receipt:
            self.channel.give_receipt(report.receipt)

    def corner(self) -> list[Report]:
        """Stop it in its tracks and read what it had still to say.

        With the rest taken back before, ``current`` is then the job that it is in the middle of.
        """
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)
        self._wait(os.WUNTRACED)
        heard: list[Report] = []
        while self.death is None and self.channel.has_report:
            heard += self.hear()
        return heard

    def go_on(self) -> None:
        """Let a cornered horse run again."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """End the horse and what it started; it is buried when its pipe ends."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, sig)
        with suppress(ProcessLookupError):
            os.kill(self.pid, sig)

    def look_after(self) -> None:
        """Notice its death though its pipe is open: what a job has started may hold that open."""
        if self.death is None:
            self._wait(os.WNOHANG)

    def bury(self) -> Death:
        """End it, if it has not ended; its channel stays open, for orders to be taken back."""
        if self.death is None:
            self.kill()
            self._wait(0)
        return self.death or Death(self.pid)

    def dismiss(self) -> None:
        """Let an idle horse end by itself: its pipes close."""
        self.channel.close()
        self._wait(0)

    def _wait(self, options: int) -> None:
        try:
            pid, status, usage = os.wait4(self.pid, options)
        except ChildProcessError:
            self.death = Death(self.pid)
            return
        if pid and not os.WIFSTOPPED(status):
            self.death = Death(self.pid, status, usage)
