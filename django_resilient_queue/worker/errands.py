"""What a worker does for a job whose horse or worker is gone: callbacks, handlers and webhooks.

In a process of its own, for which the worker waits: the project's code may take its time, and must
not keep the worker from renewing the leases of its other jobs.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rq import Worker
from rq.callbacks import execute_failure_callback, execute_stopped_callback
from rq.exceptions import AbandonedJobError
from rq.job import Job, JobStatus
from rq.job_lifecycle import call_exception_handlers

from .. import events
from ..outcomes import Ending, Settlement
from ..stores.base import Claim, boottime
from .child import fork
from .horse import Death

if TYPE_CHECKING:
    from .shift import Shift

_LONGEST = 180.0  # seconds after which an errand is killed: rq's own timeout of a callback is 60
_MOST_LATER = 1000  # errands kept for when a process can be had again: no more than these
_PAUSE = 1.0  # seconds until a fork that failed is tried again
_BREATH = 0.01  # seconds between two looks at whether an errand is done


class Errands:
    """The errands of one shift. What one raises is logged, as in rq."""

    def __init__(self, shift: Shift) -> None:
        self.shift, self.worker = shift, shift.worker
        self._later: deque[tuple[Callable[[], None], Claim]] = deque()
        self._retry_at = 0.0

    def catch_up(self) -> None:
        """Run those for which there was no process."""
        while self._later and boottime() >= self._retry_at:
            self._run(*self._later.popleft())

    @property
    def is_done(self) -> bool:
        """Tell whether none is put off."""
        return not self._later

    def report_killed(self, claim: Claim, death: Death) -> None:
        """Tell rq's `work_horse_killed_handler` that a horse has died."""
        worker = self.worker
        args = death.pid, death.status, death.usage
        overrides = type(worker).handle_work_horse_killed is not Worker.handle_work_horse_killed
        if worker._work_horse_killed_handler is not None or overrides:
            self._run(lambda: worker.handle_work_horse_killed(self._job(claim), *args), claim)
        else:
            events.HORSE_KILLED.log(
                claim.about(), job_id=claim.job_id, pid=death.pid, status=death.status
            )

    def call_stopped_callback(self, claim: Claim) -> None:
        """Run the job's `on_stopped`."""
        if claim.snapshot.text("stopped_callback_name"):
            penalty = self.worker.death_penalty_class
            self._run(lambda: execute_stopped_callback(self._job(claim), penalty), claim)

    def send_webhooks(self, claim: Claim, end: Settlement) -> None:
        """Tell of a death in the stead of the horse that died of it."""
        if end.ending is Ending.DEAD and claim.snapshot.text("webhooks"):
            self._run(lambda: _send_webhooks(self._job(claim, end), end), claim)

    def report_abandoned(self, claim: Claim, end: Settlement) -> None:
        """Tell all that a job died whose workers did: callback, exception handlers and webhooks."""
        told = claim.snapshot.text("failure_callback_name") or claim.snapshot.text("webhooks")
        if told or self.worker._exc_handlers:
            self._run(lambda: self._report_abandoned(claim, end), claim)

    def _report_abandoned(self, claim: Claim, end: Settlement) -> None:
        # Of any queue of this Redis, whether this worker listens to it or not.
        serializer = self.worker.station.queue(claim.snapshot.queue_name).serializer
        job = self._job(claim, end, serializer)
        error = (AbandonedJobError, AbandonedJobError(), None)
        try:
            execute_failure_callback(job, self.worker.death_penalty_class, *error)
        except Exception as problem:  # noqa: BLE001 - whatever the project's code raises
            events.CALLBACK_FAILED.log(claim.about(), job_id=job.id, error=problem)
        try:
            call_exception_handlers(self.worker._exc_handlers, job, *error)
        except Exception as problem:  # noqa: BLE001 - whatever the project's code raises
            events.EXCEPTION_HANDLER_FAILED.log(claim.about(), job_id=job.id, error=problem)
        _send_webhooks(job, end)

    def _job(self, claim: Claim, end: Settlement | None = None, serializer: Any = None) -> Job:
        snapshot = claim.snapshot.changed(end.fields) if end else claim.snapshot
        worker = self.worker
        chosen = serializer or worker.serializer
        return snapshot.to_job(worker.job_class, worker.job_connection, chosen)

    def _run(self, errand: Callable[[], None], claim: Claim) -> None:
        try:
            pid = fork(self.worker, lambda: self._go(errand, claim))
        except OSError as error:
            self._put_off(errand, claim, error)
            return
        self._wait_for(pid, claim)

    def _put_off(self, errand: Callable[[], None], claim: Claim, error: OSError) -> None:
        """Memory or process ids have run out: jobs go on, and the errand is tried again."""
        events.ERRAND_PUT_OFF.log(claim.about(), job_id=claim.job_id, cause=error)
        if len(self._later) < _MOST_LATER:
            self._later.append((errand, claim))
        self._retry_at = boottime() + _PAUSE

    def _wait_for(self, pid: int, claim: Claim) -> None:
        until = boottime() + _LONGEST
        with suppress(ChildProcessError):
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if boottime() > until:  # neither ends nor times out by itself
                    events.ERRAND_KILLED.log(claim.about(), job_id=claim.job_id)
                    os.kill(pid, signal.SIGKILL)
                    until += _LONGEST
                self.shift.keep_leases()
                time.sleep(_BREATH)

    def _go(self, errand: Callable[[], None], claim: Claim) -> int:
        try:
            errand()
        except BaseException as error:  # noqa: BLE001 - whatever the project's code raises
            events.ERRAND_FAILED.log(claim.about(), job_id=claim.job_id, error=error)
        return 0


def _send_webhooks(job: Job, end: Settlement) -> None:
    text = end.failure.traceback if end.failure else ""
    job.send_webhooks(JobStatus.FAILED, exc_string=text)
