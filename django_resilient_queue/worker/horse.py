"""A work horse: a process that is forked once and performs one job after the other."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from django.db import close_old_connections, connections

from ..stores.base import Claim, boottime
from .order import Order, Report
from .performance import perform

if TYPE_CHECKING:
    from .worker import ResilientWorker

_PR_SET_PDEATHSIG = 1


class HorseDied(Exception):
    """The horse is gone; ``status`` is what waitpid said of it."""

    def __init__(self, pid: int, status: int, usage: Any) -> None:
        super().__init__(pid, status)
        self.pid, self.status, self.usage = pid, status, usage


class Horse:
    """The worker's end of one horse. Not thread-safe; only the supervising loop uses it."""

    def __init__(self, worker: ResilientWorker) -> None:
        self.claim: Claim | None = None
        self.started_at = 0.0
        self.is_overdue = False  # killed by its worker, because its job did not end in time
        self.jobs_done = 0
        self.pipe, far_end = Pipe()
        # No socket may be shared across the fork: the horse opens its own.
        connections.close_all()
        worker.job_connection.connection_pool.disconnect()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self.pipe.close()
            _ride(worker, far_end, parent)
        far_end.close()
        with suppress(OSError):  # the horse does the same: whoever comes first
            os.setpgid(self.pid, self.pid)

    @property
    def is_idle(self) -> bool:
        """Tell whether it may have a job."""
        return self.claim is None

    def start(self, claim: Claim) -> None:
        """Hand a job over. Raises HorseDied when there is nobody to take it."""
        try:
            self.pipe.send_bytes(Order.of(claim).pack())
        except OSError:
            raise self.bury() from None
        self.claim, self.started_at = claim, boottime()

    def hear(self) -> Report:
        """Read one report, when the pipe is readable. Raises HorseDied at its end."""
        try:
            report = Report.unpack(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise self.bury() from None
        if report.settlement is not None:
            self.claim = None
            self.jobs_done += 1
        return report

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """End the horse and what it started; it is buried when its pipe ends."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, sig)
        with suppress(ProcessLookupError):
            os.kill(self.pid, sig)

    def bury(self) -> HorseDied:
        """Wait for the process and close the pipe."""
        self.kill()
        self.pipe.close()
        status, usage = 0, None
        with suppress(ChildProcessError):
            _, status, usage = os.wait4(self.pid, 0)
        return HorseDied(self.pid, status, usage)

    def dismiss(self) -> None:
        """Let an idle horse end by itself: its pipe closes."""
        self.pipe.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _ride(worker: ResilientWorker, pipe: Connection, parent: int) -> None:
    """Everything that the horse does; never returns."""
    try:
        _settle_in(worker, parent)
        while True:
            order = Order.unpack(pipe.recv_bytes())
            pipe.send_bytes(_perform(worker, order, pipe).pack())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the worker is gone, or wants no more
    except BaseException:
        worker.log.exception("horse failed pid=%d", os.getpid())
        sys.stderr.flush()
        os._exit(1)


def _perform(worker: ResilientWorker, order: Order, pipe: Connection) -> Report:
    os.environ["RQ_JOB_ID"] = order.snapshot.job_id
    os.environ["RQ_EXECUTION_ID"] = order.execution_id
    close_old_connections()
    worker.procline(f"Processing {order.snapshot.job_id} from {order.snapshot.queue_name}")
    settlement = perform(worker, order, lambda meta: pipe.send_bytes(Report(meta=meta).pack()))
    close_old_connections()
    return Report(settlement)


def _settle_in(worker: ResilientWorker, parent: int) -> None:
    os.setpgrp()  # so that a kill takes along what the job started
    if sys.platform == "linux":
        # A horse whose worker was killed must not go on: its job will be rescued.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
    signal.set_wakeup_fd(-1)
    worker.station.redis.link.close_inherited()
    worker.station.broker.link.close_inherited()
    worker._is_horse = True
    worker.setup_work_horse_signals()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.environ["RQ_WORKER_ID"] = worker.name
    random.seed()
    gc.unfreeze()
