"""Performing one job, inside the horse: what rq's `perform_job` does, less the bookkeeping."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from rq.callbacks import execute_failure_callback, execute_success_callback
from rq.defaults import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, Retry
from rq.job_lifecycle import format_exc_info
from rq.timeouts import JobTimeoutException

from .. import events, instruments
from ..context import known
from ..exceptions import PermanentError, UndecodableSnapshot
from ..jobs import as_bytes
from ..outcomes import (
    Attempt,
    Ending,
    Failure,
    Reason,
    ReturnedRetry,
    Settlement,
    die,
    fail,
    finish,
    retry_returned,
)
from ..stores.redis import RedisStore
from .order import Order

if TYPE_CHECKING:
    from .worker import ResilientWorker

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def perform(
    worker: ResilientWorker, order: Order, report_meta: Callable[[bytes], None]
) -> Settlement:
    """Perform a job and say how it ended; one that rq can't even read is dead."""
    started_at = timezone.now()
    try:
        performance = Performance(worker, order, report_meta)
    except UndecodableSnapshot as error:
        attempt = Attempt(worker.name, order.execution_id, started_at, timezone.now())
        failure = Failure(Reason.UNDECODABLE, type(error).__name__, str(error), str(error))
        return die(order.snapshot, attempt, failure)
    return performance.run()


class Performance:
    """One order of one worker. ``report_meta`` takes what the job saves about itself."""

    def __init__(
        self, worker: ResilientWorker, order: Order, report_meta: Callable[[bytes], None]
    ) -> None:
        self.worker = worker
        self.order = order
        self.started_at = timezone.now()
        self.saved_meta: bytes | None = None  # as the job has last saved it
        self.job = self._make_job(report_meta)

    def run(self) -> Settlement:
        """Execute the job and say how it ended; raises nothing that the job raises."""
        about = self.order.snapshot.about(self.order.attempt + 1)
        with known(about), instruments.performing(self.job, about) as self._tell:
            return self._run()

    def _run(self) -> Settlement:
        try:
            self._find_function()
            value = self._execute()
            settlement = self._finished(value)
        except BaseException:  # noqa: BLE001 - as rq: a job may raise SystemExit or a timeout
            settlement = self._failed(sys.exc_info())
        self._send_webhooks(settlement)
        return settlement

    def _make_job(self, report_meta: Callable[[bytes], None]) -> Job:
        worker, order = self.worker, self.order
        job = order.snapshot.to_job(worker.job_class, worker.job_connection, worker.serializer)
        self._begin(job)
        job.backend = order.store  # type: ignore[attr-defined]

        def save_meta() -> None:
            self.saved_meta = as_bytes(job._serialize_meta())
            report_meta(self.saved_meta)

        # Saved through the worker, which knows the store: Redis may be away while the job runs.
        job.save_meta = save_meta  # type: ignore[method-assign]
        if order.store != RedisStore.name:
            self._answer_from_hand(job)
        return job

    def _begin(self, job: Job) -> None:
        job.started_at = job.last_heartbeat = self.started_at
        job.worker_name = self.worker.name
        job._status = JobStatus.STARTED

    def _answer_from_hand(self, job: Job) -> None:
        """What the job asks Redis about itself, which may be away and knows nothing of it."""

        def refresh() -> None:
            fields = self.order.snapshot.fields
            if self.saved_meta is not None:
                fields = {**fields, "meta": self.saved_meta}
            job.restore({name.encode(): value for name, value in fields.items()})
            self._begin(job)

        def get_meta(refresh: bool = True) -> dict[Any, Any]:
            if refresh:
                saved = self.saved_meta or self.order.snapshot.fields.get("meta")
                job.meta = job.serializer.loads(saved) if saved else {}
            return job.meta

        job.refresh = refresh  # type: ignore[method-assign]
        job.get_meta = get_meta  # type: ignore[method-assign]
        job._fetch_status = lambda: job.get_status(refresh=False)  # type: ignore[method-assign]

    def _find_function(self) -> None:
        """Tell what can't be decoded and what is not importable from what fails by itself."""
        _ = self.job.func_name  # unpickles the call
        try:
            _ = self.job.func
        except Exception as error:
            raise _NotImportable(error) from error

    def _execute(self) -> Any:
        timeout = self.job.timeout or self.worker.queue_class.DEFAULT_TIMEOUT
        with self.worker.death_penalty_class(timeout, JobTimeoutException, job_id=self.job.id):
            return self.job.perform()

    def _finished(self, value: Any) -> Settlement:
        self.job.ended_at = timezone.now()
        self.job._result = value
        if isinstance(value, Retry):
            return retry_returned(self.order.snapshot, self._attempt(), _returned(self.job, value))
        self.job._status = JobStatus.FINISHED
        execute_success_callback(self.job, self.worker.death_penalty_class, value)
        return finish(
            self.order.snapshot,
            self._attempt(),
            return_value=_serialised(self.job, value),
            default_ttl=self.worker.default_result_ttl,
        )

    def _failed(self, exc_info: ExcInfo) -> Settlement:
        if isinstance(exc_info[1], _NotImportable):
            cause = exc_info[1].cause
            found = (type(cause), cause, cause.__traceback__)
            return self._settle_failure(found, Reason.NOT_IMPORTABLE)
        reason = Reason.RAISED
        if isinstance(exc_info[1], DeserializationError):
            reason = Reason.UNDECODABLE
        elif isinstance(exc_info[1], JobTimeoutException):
            reason = Reason.TIMEOUT
        return self._settle_failure(exc_info, reason)

    def _settle_failure(self, exc_info: ExcInfo, reason: Reason) -> Settlement:
        job = self.job
        job.ended_at = timezone.now()
        job._status = JobStatus.FAILED
        may_retry = not isinstance(exc_info[1], PermanentError)
        if not may_retry:
            job.retries_left = 0  # what exception handlers, Sentry's too, go by
        try:
            execute_failure_callback(job, self.worker.death_penalty_class, *exc_info)
        except BaseException:  # noqa: BLE001 - as rq: a failing callback is the recorded failure
            exc_info = sys.exc_info()
        try:
            self.worker.handle_exception(job, *exc_info)
        except Exception as problem:  # noqa: BLE001 - whatever the project's code raises
            events.EXCEPTION_HANDLER_FAILED.log(job_id=job.id, error=problem)
        kind, error, _ = exc_info
        if error is not None:
            self._tell(error)
        name = f"{kind.__module__}.{kind.__qualname__}" if kind else ""
        failure = Failure(reason, name, _message(error), _storable(format_exc_info(exc_info)))
        return fail(self.order.snapshot, self._attempt(), failure, may_retry=may_retry)

    def _attempt(self) -> Attempt:
        ended_at = self.job.ended_at or timezone.now()
        return Attempt(self.worker.name, self.order.execution_id, self.started_at, ended_at)

    def _send_webhooks(self, settlement: Settlement) -> None:
        if settlement.ending in (Ending.FINISHED, Ending.REPEAT):
            self.job.send_webhooks(JobStatus.FINISHED)
        elif settlement.ending is Ending.DEAD:
            text = settlement.failure.traceback if settlement.failure else ""
            self.job.send_webhooks(JobStatus.FAILED, exc_string=text)


class _NotImportable(Exception):
    """The function of a job is not there any more."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def _message(error: BaseException | None) -> str:
    """What an error says of itself; a bug in its own ``__str__`` must not end the horse."""
    try:
        return _storable(str(error))
    except Exception as problem:  # noqa: BLE001 - whatever the project's class raises
        return f"no message: its __str__ raised {type(problem).__name__}"


def _storable(text: str) -> str:
    """Half a surrogate pair, as in a file name that is no UTF-8, has no place in any store."""
    return text.encode("utf-8", "backslashreplace").decode()


def _serialised(job: Job, value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return as_bytes(job.serializer.dumps(value))
    except Exception:  # noqa: BLE001 - as rq: whatever pickle raises
        return as_bytes(job.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD))


def _returned(job: Job, retry: Retry) -> ReturnedRetry:
    pickled = _serialised(job, retry) or b""
    return ReturnedRetry(retry.max, list(retry.intervals), retry.enqueue_at_front, pickled)
