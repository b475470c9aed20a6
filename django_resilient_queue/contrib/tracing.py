"""Spans for OpenTelemetry, by its conventions for messaging; needs the extra `tracing`.

The context of the span that enqueues goes into the job's ``meta``, and stays there: each attempt,
in whatever store, and each requeue is a span of the same trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from rq.job import Job

from .. import __version__
from ..instruments import Failed

SYSTEM = "rq"
_MOST_LINKS = 128


class Tracing:
    """Makes the spans with whatever provider the process has."""

    @contextmanager
    def enqueuing(self, queue_name: str, jobs: Sequence[Job]) -> Iterator[None]:
        """A span of kind producer; jobs that bring a context keep it, and the span links to it."""
        attributes = {**_about("enqueue", "send", queue_name, jobs[0]), **_messages(jobs)}
        brought = [job for job in jobs if _is_traced(job)]
        with _span(
            f"enqueue {queue_name}",
            kind=SpanKind.PRODUCER,
            attributes=attributes,
            links=_links(brought),
        ) as span:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            kept = {id(job) for job in brought}
            for job in jobs:
                if id(job) not in kept:
                    job.meta = {**job.meta, **carrier}
            try:
                yield
            except Exception as error:
                _mark(span, error)
                raise
            if backend := getattr(jobs[0], "backend", ""):
                span.set_attribute("drq.store", backend)

    @contextmanager
    def performing(self, job: Job, about: Mapping[str, Any]) -> Iterator[Failed | None]:
        """A span of kind consumer: a child of the one that enqueued, and linked to it."""
        attributes = {
            **_about("perform", "process", about["queue"], job),
            **_messages([job]),
            "messaging.client.id": job.worker_name or "",
            "drq.job.type": about["job_type"],
            "drq.attempts": about["attempts"],
            "drq.store": getattr(job, "backend", ""),
        }
        # Not only the span's parent: what the job does is to have the baggage, too.
        token = context.attach(_context_of(job))
        try:
            with _span(
                f"perform {about['queue']}",
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=_links([job]),
            ) as span:
                yield lambda error: _mark(span, error)
        finally:
            context.detach(token)

    def flush(self) -> None:
        """Have the provider, if it keeps spans back, export them."""
        force_flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if force_flush is not None:
            force_flush()


tracing = Tracing()


def _tracer() -> Tracer:
    return trace.get_tracer("django_resilient_queue", __version__)


def _span(name: str, **options: Any) -> Any:
    # Marked here: the SDK would record the error's message, which may hold data.
    return _tracer().start_as_current_span(
        name, record_exception=False, set_status_on_exception=False, **options
    )


def _mark(span: Span, error: BaseException) -> None:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def _about(name: str, kind: str, queue_name: str, job: Job) -> dict[str, Any]:
    address = job.connection.connection_pool.connection_kwargs
    server = {"server.address": address.get("host"), "server.port": address.get("port")}
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue_name,
        **{key: value for key, value in server.items() if value is not None},
    }


def _messages(jobs: Sequence[Job]) -> dict[str, Any]:
    if len(jobs) == 1:
        return {"messaging.message.id": jobs[0].id}
    return {"messaging.batch.message_count": len(jobs)}


def _context_of(job: Job) -> context.Context:
    names = propagate.get_global_textmap().fields
    said = {name: job.meta[name] for name in names if isinstance(job.meta.get(name), str)}
    return propagate.extract(said)


def _is_traced(job: Job) -> bool:
    names = propagate.get_global_textmap().fields
    return any(name in job.meta for name in names) and bool(_links([job]))


def _links(jobs: Sequence[Job]) -> list[Link]:
    """Links to the spans that the jobs' meta names; many jobs of one enqueue name the same.

    No more than the SDK keeps.
    """
    found = [trace.get_current_span(_context_of(job)).get_span_context() for job in jobs]
    each = {one.span_id: one for one in found if one.is_valid}
    return [Link(one) for one in list(each.values())[:_MOST_LINKS]]
