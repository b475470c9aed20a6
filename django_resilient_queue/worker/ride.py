"""What a horse does: performs one order after the other until its worker wants no more."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import close_old_connections, connections

from .. import events, instruments
from ..conf import settings
from ..exceptions import describe
from ..outcomes import Settlement
from ..stores import measures
from ..stores.base import boottime
from .channel import Channel, Closed, HorseEnd, WorkerEnd
from .order import Order, Report
from .performance import perform

if TYPE_CHECKING:
    from .worker import ResilientWorker

_PR_SET_PDEATHSIG = 1
_FOLLOWS = 0.05  # seconds within which a job follows another "at once"
_MEBIBYTE = 1024 * (1024 if sys.platform == "darwin" else 1)  # as getrusage counts: bytes or KiB


def ride(
    worker: ResilientWorker, others: Iterable[WorkerEnd], channel: Channel, parent: int
) -> None:
    """Everything that the horse does; never returns. *others* are the ends of other horses'
    channels, which no horse may hold open."""
    try:
        end = channel.horse_end()
        for other in others:
            other.close()
        settle_in(worker, parent)
        _work(worker, end)
        instruments.flush()
        os._exit(0)
    except Closed:  # the worker is gone, or wants no more
        instruments.flush()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the horse ends in any case
        events.HORSE_FAILED.log(pid=os.getpid(), cause=describe(error), error=error)
        sys.stderr.flush()
        instruments.flush()
        os._exit(1)


def _work(worker: ResilientWorker, end: HorseEnd) -> None:
    most_jobs, most_memory = settings.HORSE_MAX_JOBS, settings.HORSE_MAX_RSS * _MEBIBYTE
    done = 0
    is_last = False
    while not is_last:
        if not end.is_wanted(within=_FOLLOWS):
            close_old_connections()
        number, plain = end.next_order()
        order = Order.of(plain)
        if boottime() > order.begin_before:
            end.report(Report(number).plain())
            continue
        settlement = _perform(worker, order, end, number)
        done += 1
        is_last = done >= most_jobs or 0 < most_memory < _memory()
        counts = measures.hand_over()
        end.report(Report(number, settlement, is_last=is_last, counts=counts).plain())
    end.wait_for_end()


def _perform(worker: ResilientWorker, order: Order, end: HorseEnd, number: int) -> Settlement:
    def report_meta(meta: bytes) -> None:
        end.report_and_wait(lambda receipt: Report(number, meta=meta, receipt=receipt).plain())

    os.environ["RQ_JOB_ID"] = order.snapshot.job_id
    os.environ["RQ_EXECUTION_ID"] = order.execution_id
    close_old_connections()
    worker.procline(f"Processing {order.snapshot.job_id} from {order.snapshot.queue_name}")
    settlement = perform(worker, order, report_meta)
    _keep_connections()
    return settlement


def _keep_connections() -> None:
    """Have a job that follows at once find the connections open also where ``CONN_MAX_AGE`` is 0,
    since connecting takes longer than most jobs; one that raised an error is tried first."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["CONN_MAX_AGE"] == 0:
            connection.close_at = time.monotonic() + _FOLLOWS


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def settle_in(worker: ResilientWorker, parent: int) -> None:
    """In a forked child, become a process that does not outlive its worker."""
    os.setpgrp()  # so that a kill takes along what the job started
    if sys.platform == "linux":
        # A horse whose worker was killed must not go on: its job will be rescued.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
    signal.set_wakeup_fd(-1)
    worker.close_inherited()
    worker._is_horse = True
    worker.setup_work_horse_signals()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.environ["RQ_WORKER_ID"] = worker.name
    random.seed()
    gc.unfreeze()
