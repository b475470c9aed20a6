"""What is known of the request, or the job, that code runs for: new jobs and log lines carry it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

REQUEST_ID, USER_ID = "request_id", "user_id"  # in a job's meta
ORIGIN = (REQUEST_ID, USER_ID)
OF_JOBS = ("job_id", "job_type", "queue", "attempts", *ORIGIN)
_LONGEST = 200  # characters of such a value

_NOTHING: Mapping[str, Any] = {}
_known: ContextVar[Mapping[str, Any] | Callable[[], Mapping[str, Any]]] = ContextVar(
    "django_resilient_queue", default=_NOTHING
)


@contextmanager
def known(facts: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Say for whom the code inside runs: ``request_id``, ``user_id`` and, in a worker, the job.

    A function is asked each time, for what becomes known later.
    """
    token = _known.set(facts)
    try:
        yield
    finally:
        _known.reset(token)


def current() -> Mapping[str, Any]:
    """Return what is known, empty outside of requests and jobs."""
    facts = _known.get()
    return facts() if callable(facts) else facts


def origin(meta: Mapping[str, Any]) -> dict[str, str | int]:
    """Return who asked for a job, as its *meta* says; nothing but short texts and numbers."""
    found = {name: meta[name] for name in ORIGIN if name in meta}
    return {name: said for name, value in found.items() if (said := _plain(value)) is not None}


def _plain(value: object) -> str | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None if value is None else str(value)[:_LONGEST]
