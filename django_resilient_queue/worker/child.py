"""A process that does something beside the worker, which does not wait for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db import connections

from ..conf import settings
from ..exceptions import StoreError
from ..stores import measures
from ..stores.base import boottime
from .ride import settle_in

if TYPE_CHECKING:
    from .worker import ResilientWorker

FAILED = 2
_LAST_WRITE = 1.0  # seconds that writing what the task has counted may take
_PAUSE = 1.0  # seconds until a fork that failed is tried again


def fork(worker: ResilientWorker, task: Callable[[], int]) -> int:
    """Have a process of its own do *task* and end with the code that it returns; returns its pid.
    Raises OSError when no process can be had."""
    # No socket may be shared across the fork: worker and child each open their own.
    connections.close_all()
    worker.job_connection.connection_pool.disconnect()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _live(worker, task, parent)
    return pid


def _live(worker: ResilientWorker, task: Callable[[], int], parent: int) -> None:
    """Be the child; never returns."""
    code = FAILED
    try:
        if worker.shift is not None:
            for horse in worker.shift.stable.horses:
                horse.channel.close()
        settle_in(worker, parent)
        code = task()
        measures.write(alias=settings.DATABASE, timeout=_LAST_WRITE)
    except StoreError as error:
        worker.log.warning("counts not written cause=%s", error)
    except BaseException:
        worker.log.exception("child failed pid=%d", os.getpid())
    sys.stderr.flush()
    os._exit(code)


class Child:
    """One task, by one process at a time, killed when it takes longer than *longest* seconds.

    The task returns a small number, the exit code.
    """

    def __init__(
        self, worker: ResilientWorker, task: Callable[[], int], longest: Callable[[], float]
    ) -> None:
        self.worker, self.task, self.longest = worker, task, longest
        self.pid = 0
        self._until = 0.0
        self._rest_until = 0.0

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended, as far as the last look knows."""
        return self.pid != 0

    def start(self) -> bool:
        """Begin; False when it runs already, or no process can be had now."""
        if self.is_running or boottime() < self._rest_until:
            return False
        try:
            self.pid = fork(self.worker, self.task)
        except OSError as error:
            self._rest_until = boottime() + _PAUSE
            self.worker.log.error("no process to be had cause=%s", error)
            return False
        self._until = boottime() + self.longest()
        return True

    def look(self) -> int | None:
        """Return how it has ended, None while it has not."""
        if not self.is_running:
            return None
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, FAILED << 8
        if pid:
            self.pid = 0
            return os.waitstatus_to_exitcode(status)
        if boottime() > self._until:
            self.worker.log.error("child killed pid=%d: it took too long", self.pid)
            self.kill()
        return None

    def kill(self) -> None:
        """End it now; the next look finds it gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
