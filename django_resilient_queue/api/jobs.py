"""Jobs: submitting, listing, looking at one, cancelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rq.exceptions import DuplicateJobError

from ..exceptions import InvalidPayload
from ..handlers.registry import registry, require_modules
from ..job_info import JobInfo, JobState, find_job
from ..job_listing import result_of
from ..models.called import Called
from ..recovery.cancelling import Cancelled, cancel
from ..redaction import redact
from ..submission import submit
from . import forms
from .idempotency import REPLAYED, digest_of, once
from .job_pages import list_jobs
from .pagination import ByKey
from .problem import Problem
from .schema import ANY_JOB, LOCATION, Batch, a_job, described, some_jobs
from .scoping import scope
from .throttles import SUBMIT
from .view import QueueView, asked, checked

_KEY = "idempotency"  # in a job's meta


class JobsView(QueueView):
    """All jobs that have a row, and the way in for new ones."""

    verbs: ClassVar = {"GET": "view_job", "POST": "submit_job"}
    throttle = SUBMIT
    pagination_class = ByKey

    @described(
        {200: forms.JobLine(many=True)},
        400,
        404,
        parameters=(forms.JobQuery, forms.PageQuery),
        operation_id="list_jobs",
    )
    def get(self, request: Request) -> Response:
        """List jobs that have not ended, or ended while Redis could not be told, newest first.

        The rows of the database are the list, and after them what Redis lists of queues without
        an outbox: of each the running jobs, those that wait, and those that wait for their time. A
        page may hold fewer jobs than its limit, none even, and have a next one.
        """
        return list_jobs(request, self, **asked(forms.JobQuery, request))

    @described(
        {201: forms.Accepted},
        request=ANY_JOB,
        once=True,
        parameters=(LOCATION,),
        example=a_job,
        operation_id="submit_job",
    )
    def post(self, request: Request) -> Response:
        """Submit a job of a registered type; either store accepts it."""
        return once(request, lambda: self._submit(request))

    def _submit(self, request: Request) -> Response:
        order = checked(forms.JobForm, request)
        accepted, is_new = _place(request, order, digest_of(request))
        headers = {"Location": f"{request.path}{accepted['id']}/"}
        if not is_new:
            headers[REPLAYED] = "true"
        return Response(accepted, status=201, headers=headers)


class BatchView(QueueView):
    """Many jobs in one request."""

    verbs: ClassVar = {"POST": "submit_job"}
    throttle = SUBMIT

    @described(
        {201: forms.AcceptedBatch},
        request=Batch,
        once=True,
        example=some_jobs,
        operation_id="submit_jobs",
    )
    def post(self, request: Request) -> Response:
        """Submit up to 100 jobs. All are checked before the first is accepted; should both stores
        go away in between, a repeat with the same Idempotency-Key completes the batch."""
        return once(request, lambda: self._submit(request))

    def _submit(self, request: Request) -> Response:
        orders = checked(forms.BatchForm, request)["jobs"]
        for index, order in enumerate(orders):
            _check(request, order, index)
        digest = digest_of(request)
        _check_ids(orders, digest)
        placed = [
            _place(request, order, f"{digest}-{index}" if digest else "")[0]
            for index, order in enumerate(orders)
        ]
        return Response({"jobs": placed}, status=201)


class JobView(QueueView):
    """One job, whichever store knows it."""

    verbs: ClassVar = {"GET": "view_job", "DELETE": "cancel_job"}

    @described({200: forms.JobDetail}, 404, operation_id="get_job")
    def get(self, request: Request, job_id: str) -> Response:
        """Look at one job."""
        info = _find(request, job_id)
        result, error = result_of(info)
        progress = info.progress
        shown = {
            "id": info.job_id,
            "status": info.state,
            "queue": info.queue_name,
            "store": info.backend,
            "attempts": info.attempts,
            "progress": {**asdict(progress), "percent": progress.percent} if progress else None,
            "result": _masked(info, result),
            "error": error,
            "enqueued_at": info.enqueued_at,
        }
        return Response(shown)

    @described(
        {200: forms.CancelAnswer, 202: forms.CancelAnswer},
        400,
        404,
        409,
        parameters=(forms.CancelQuery,),
        operation_id="cancel_job",
    )
    def delete(self, request: Request, job_id: str) -> Response:
        """Cancel a job that has not started; with ``?running=true`` also have it stopped (202)."""
        running = asked(forms.CancelQuery, request)["running"]
        _find(request, job_id)
        match cancel(job_id, running=running):
            case Cancelled.CANCELLED:
                return Response({"id": job_id, "status": "cancelled"})
            case Cancelled.STOPPING:
                return Response({"id": job_id, "status": "stopping"}, status=202)
            case Cancelled.ACTIVE:
                raise Problem(409, "active", "The job runs: ?running=true has it stopped.")
            case Cancelled.ENDED:
                raise Problem(409, "ended", "The job has ended.")
        raise Http404


def _masked(info: JobInfo, result: Any) -> Any:
    """What a job returned, without the secrets of its handler."""
    called = Called.of_call(info.job.data if info.job is not None else b"")
    if called.is_of_handler and isinstance(result, dict):  # a `JobResult`
        return {**result, "data": redact(result.get("data"), called.keys)}
    return redact(result, called.keys)


def _find(request: Request, job_id: str) -> JobInfo:
    info = find_job(job_id)
    if info is None or not scope().sees(request, info):
        raise Http404
    return info


def _check(request: Request, order: Mapping[str, Any], index: int) -> None:
    """Refuse what the front door would refuse. Raises Problem."""
    try:
        handler = registry.get(order["type"])
        require_modules(handler)
        handler.payload(order.get("data", {}), by=_user_id(request))
    except InvalidPayload as error:
        found = {"jobs": {str(index): {"data": error.errors}}}
        raise Problem(400, "invalid", "A payload is refused.", errors=found) from error


def _check_ids(orders: Sequence[Mapping[str, Any]], digest: str) -> None:
    """Refuse ids that are taken, by other orders or by jobs of before, unless this is a repeat of
    the request that took them. Raises Problem."""
    ids = [order.get("options", {}).get("job_id") for order in orders]
    for index, job_id in enumerate(ids):
        if job_id is None:
            continue
        if job_id in ids[:index]:
            found = {"jobs": {str(index): {"options": {"job_id": ["It is there twice."]}}}}
            raise Problem(400, "invalid", "An id is there twice.", errors=found)
        if (there := find_job(job_id)) is not None:
            _again(there, f"{digest}-{index}" if digest else "")


def _place(request: Request, order: Mapping[str, Any], digest: str) -> tuple[dict[str, Any], bool]:
    """Enqueue one job; with the key's *digest* a repeat finds the job that is there already."""
    options = dict(order.get("options", {}))
    job_id = options.pop("job_id", None) or (f"key-{digest}" if digest else None)
    delay = options.pop("delay", 0)
    handler = registry.get(order["type"])
    # rq can't refuse an id of a job with a rate limit: then it is looked for first.
    unique = job_id is not None and not handler.concurrency
    if job_id is not None and not unique and (there := find_job(job_id)) is not None:
        return _again(there, digest)
    try:
        job = submit(
            order["type"],
            order.get("data", {}),
            job_id=job_id,
            unique=unique,
            delay=delay / 1000,
            request_id=request.headers.get("X-Request-ID", "")[:200] or None,
            user_id=_user_id(request),
            meta={_KEY: digest} if digest else None,
            **options,
        )
    except DuplicateJobError:
        there = find_job(str(job_id))
        if there is None:
            raise Problem(409, "duplicate", f"There is a job {job_id}.") from None
        return _again(there, digest)
    backend = getattr(job, "backend", "redis")
    return _accepted(job.id, JobState.DELAYED if delay else JobState.WAITING, backend), True


def _user_id(request: Request) -> Any:
    return getattr(request.user, "pk", None)


def _again(there: JobInfo, digest: str) -> tuple[dict[str, Any], bool]:
    if not digest or there.meta.get(_KEY) != digest:
        raise Problem(409, "duplicate", f"There is a job {there.job_id}.")
    return _accepted(there.job_id, there.state, there.backend), False


def _accepted(job_id: str, state: JobState, backend: str) -> dict[str, Any]:
    return {"id": job_id, "status": state, "backend": backend, "fallback": backend != "redis"}
