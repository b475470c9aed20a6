"""What Sentry's integration for rq lacks with workers of ours, which go without rq's `perform_job`.

In use once a project has called `sentry_sdk.init`, which enables the integration by itself. What a
job raises is one event, when no attempt is left, by the integration's own patch of
`handle_exception`. Here is what belongs around a job, and the deaths that nothing was raised of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import sentry_sdk
from rq.job import Job
from rq.timeouts import JobTimeoutException
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scope import should_send_default_pii

from .. import signals
from ..events import OF_DEATHS
from ..instruments import Failed
from ..models import DeadLetter

_HEADERS = "_sentry_trace_headers"  # in a job's meta, as the integration has it
_RAISED = "Traceback (most recent call last)"


class Sentry:
    """A scope and a transaction a job, and the trace that an enqueue is part of."""

    @contextmanager
    def enqueuing(self, queue_name: str, jobs: Sequence[Job]) -> Iterator[None]:
        """Hand the trace on."""
        scope = sentry_sdk.get_current_scope()
        if scope.span is not None:
            headers = dict(scope.iter_trace_propagation_headers())
            for job in jobs:
                job.meta = {**job.meta, _HEADERS: headers}
        yield

    @contextmanager
    def performing(self, job: Job, about: Mapping[str, Any]) -> Iterator[Failed | None]:
        """Keep what one job tells Sentry apart from the next one's."""
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.add_event_processor(_description(job, about))
            transaction = sentry_sdk.continue_trace(
                job.meta.get(_HEADERS) or {},
                op="queue.task.rq",
                name=about["job_type"] or "unknown RQ task",
                source="task",
                origin="auto.queue.rq",
            )
            sampling = {"rq_job": job}
            with sentry_sdk.start_transaction(
                transaction, custom_sampling_context=sampling
            ) as span:
                span.set_data("messaging.message.id", job.id)
                span.set_data("messaging.destination.name", about["queue"])
                yield lambda error: span.set_status("internal_error")

    def flush(self) -> None:
        """Send what waits."""
        sentry_sdk.flush()


@cache
def _sentry() -> Sentry:
    # Their deaths are events already, and a letter that no store took has the payload.
    ignore_logger(OF_DEATHS)
    signals.job_dead_lettered.connect(report_unseen, dispatch_uid="drq-sentry")
    return Sentry()


def in_use() -> Sentry | None:
    """Return the instrument when the process has a client with the integration."""
    return _sentry() if _is_in_use() else None


def report_unseen(dead_letter: DeadLetter, **kwargs: Any) -> None:
    """Report a death that nothing was raised of in the job's process: killed, abandoned, out of
    time and killed for it, out of retries that it returned, not to be read, expired."""
    if _RAISED in dead_letter.traceback or not _is_in_use():
        return
    about = {**dead_letter.about, "error_class": dead_letter.error_class}
    if should_send_default_pii():  # the words of an error may repeat what it was called with
        about["message"] = dead_letter.message[:500]
    event = {
        "level": "error",
        "message": f"{about.get('job_type') or 'a job'} died: {dead_letter.reason}",
        "fingerprint": ["dead letter", dead_letter.fingerprint],
        "tags": {"reason": dead_letter.reason, "queue": dead_letter.queue_name},
        "extra": {"rq-job": about},
    }
    sentry_sdk.capture_event(event)  # type: ignore[arg-type]


def _is_in_use() -> bool:
    client = sentry_sdk.get_client()
    return client.is_active() and client.get_integration("rq") is not None


def _description(job: Job, about: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """Say of every event which job it is of; of its arguments only where the project has chosen to
    send personal data, as the integration has it."""

    def describe(event: Any, hint: Any) -> Any:
        said: dict[str, Any] = {**about, "func": about["job_type"]}
        if should_send_default_pii():
            said |= {"args": job.args, "kwargs": job.kwargs, "description": job.description}
        event.setdefault("extra", {})["rq-job"] = said
        kind = hint.get("exc_info", (None,))[0]
        if isinstance(kind, type) and issubclass(kind, JobTimeoutException):
            event["fingerprint"] = ["rq", "JobTimeoutException", about["job_type"]]
        return event

    return describe
