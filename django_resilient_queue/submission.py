"""The public `enqueue`: a job by its handler's name, with a payload that is validated first.

Anything else goes on to the default queue as django-rq takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.utils import timezone
from rq import Retry
from rq.job import Job
from rq.queue import Queue
from rq.types import FunctionReferenceType

from .conf import HIGHEST_PRIORITY, LOWEST_PRIORITY, Priority, settings
from .context import REQUEST_ID, USER_ID
from .exceptions import InvalidPayload
from .handlers.handler import Handler
from .handlers.performing import PERFORM
from .handlers.registry import registry, require_modules
from .queues import ResilientQueue, get_queue
from .setting.numbers import is_whole
from .stores.brokers import require_queue

_FOR_EVER, _NOT_AT_ALL = -1, 0
_MOST_DAYS = 36_500
_MOST_SECONDS = _MOST_DAYS * 86_400
_LONGEST_ID = 200  # rows have 255, of which each requeue takes some


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one enqueue says besides the payload.

    *priority* (1 to 20) goes before the handler's, *queue* before both; *delay* is in seconds or a
    timedelta; *attempts* counts the first one. *remove_on_complete* and *remove_on_fail*: True for
    at once, False for never, or seconds to keep rq's record of the job. The rest is kept in meta.
    """

    queue: str | None = None
    priority: int | None = None
    delay: float | timedelta | None = None
    attempts: int | None = None
    remove_on_complete: bool | int | None = None
    remove_on_fail: bool | int | None = None
    request_id: str | None = None
    user_id: str | int | None = None
    meta: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what can't be."""
        self.due()
        for name, least, most in (
            ("attempts", 1, 1000),
            ("priority", LOWEST_PRIORITY, HIGHEST_PRIORITY),
        ):
            value = getattr(self, name)
            if value is not None and not (is_whole(value) and least <= value <= most):
                limits = f"between {least} and {most}"
                raise ValueError(f"{name} must be a whole number {limits}, not {value!r}")
        for name in ("remove_on_complete", "remove_on_fail"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, bool) or _is_span(value)):
                words = f"True, False or whole seconds up to {_MOST_SECONDS}"
                raise ValueError(f"{name} must be {words}, not {value!r}")

    def due(self) -> datetime | None:
        """Return when the job may run, None for at once. Raises ValueError."""
        delay = self.delay
        if delay is None:
            return None
        try:
            moment = delay if isinstance(delay, timedelta) else timedelta(seconds=_number(delay))
            due = timezone.now() + moment
        except (OverflowError, TypeError, ValueError):
            words = f"delay must be a length of time, in seconds or a timedelta, not {delay!r}"
            raise ValueError(words) from None
        if moment < timedelta():
            raise ValueError(f"delay must not be negative, as {delay!r} is")
        if moment > timedelta(days=_MOST_DAYS):
            raise ValueError(f"delay must be at most {_MOST_DAYS} days, not {delay!r}")
        return due if moment else None


def enqueue(func: FunctionReferenceType, *args: Any, **kwargs: Any) -> Job:
    """Enqueue a job; ``backend`` says which store has it.

    ``enqueue("email:send", {...}, priority=, delay=, attempts=, job_id=, remove_on_complete=,
    remove_on_fail=)`` enqueues a job of a registered handler: see `submit`. A function, or the
    dotted path of one, goes to the default queue with rq's arguments and options; for another:
    ``get_queue("high").enqueue(...)``.
    """
    name = cast(object, func)  # rq's type has no room for it
    if isinstance(name, str) and registry.is_name(name):
        return submit(name, *args, **kwargs)
    return get_queue().enqueue(func, *args, **kwargs)


def submit(
    name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    job_id: str | None = None,
    unique: bool = False,
    **options: Any,
) -> Job:
    """Enqueue a job of a handler, with `Options` by name.

    *unique* refuses a *job_id* that either store has, with DuplicateJobError; jobs of a handler
    with ``concurrency`` can't be.

    Raises UnknownHandler, InvalidPayload (with ``errors`` by field), PayloadTooLarge, MissingExtra
    and ValueError before anything is written, then what every enqueue raises.
    """
    handler = _handler(name)
    order = _Order(handler, Options(**options))
    if isinstance(job_id, str) and len(job_id) > _LONGEST_ID:  # of its letters rq takes care
        raise ValueError(f"job_id must be of at most {_LONGEST_ID} characters")
    checked = handler.payload(payload if payload is not None else {}, by=order.options.user_id)
    return order.place(checked, job_id, unique=unique)


def enqueue_many(name: str, payloads: Iterable[Mapping[str, Any]], **options: Any) -> list[Job]:
    """Enqueue a job of a handler for each payload, in one round trip to each store.

    Raises as `submit` does, InvalidPayload with the ``index`` of the payload: none is enqueued
    then. Jobs of a handler with ``concurrency`` go one by one, as rq has it.
    """
    handler = _handler(name)
    order = _Order(handler, Options(**options))
    checked = []
    for index, payload in enumerate(payloads):
        try:
            checked.append(handler.payload(payload, by=order.options.user_id))
        except InvalidPayload as error:
            error.at(index)
            raise
    return order.place_all(checked)


def _handler(name: str) -> Handler:
    handler = registry.get(name)
    require_modules(handler)
    return handler


class _Order:
    """What the jobs of one enqueue have in common."""

    def __init__(self, handler: Handler, options: Options) -> None:
        self.handler, self.options = handler, options
        self.queue = _queue(handler, options)

    def place(self, payload: dict[str, Any], job_id: str | None, *, unique: bool = False) -> Job:
        """Enqueue one job."""
        call = self._call(payload, job_id) | {"unique": unique}
        due = self.options.due()
        if due is None:
            return cast(Job, self.queue.enqueue_call(PERFORM, **call))
        call["job_timeout"] = call.pop("timeout")
        return cast(Job, self.queue.enqueue_at(due, PERFORM, **call))

    def place_all(self, payloads: Sequence[dict[str, Any]]) -> list[Job]:
        """Enqueue many."""
        datas = [Queue.prepare_data(PERFORM, **self._call(each, None)) for each in payloads]
        due = self.options.due()
        if due is None:
            return self.queue.enqueue_many(datas)
        return self.queue.schedule_many(datas, due)

    def _call(self, payload: dict[str, Any], job_id: str | None) -> dict[str, Any]:
        """What rq is to be told, in the words of `Queue.enqueue_call`."""
        call: dict[str, Any] = {
            "args": (self.handler.name,),
            "kwargs": payload,
            "timeout": self.handler.timeout,
            "description": self.handler.name,  # rq's own would be the whole call
            "job_id": job_id,
            "meta": self._meta(),
            "retry": self._retry(),
        }
        for key, choice, usual in (
            ("result_ttl", self.options.remove_on_complete, settings.REMOVE_ON_COMPLETE),
            ("failure_ttl", self.options.remove_on_fail, settings.REMOVE_ON_FAIL),
        ):
            call[key] = usual if choice is None else _time_to_live(choice)
        return call

    def _meta(self) -> dict[str, Any]:
        known = {REQUEST_ID: self.options.request_id, USER_ID: self.options.user_id}
        said = {key: value for key, value in known.items() if value is not None}
        return {**(self.options.meta or {}), **said}

    def _retry(self) -> Retry | None:
        effort = self.handler.effort(_priority(self.handler, self.options))
        retries = (self.options.attempts or effort.attempts) - 1
        return Retry(retries, interval=effort.backoff.intervals(retries)) if retries else None


def _queue(handler: Handler, options: Options) -> ResilientQueue:
    name = options.queue or handler.queue_name
    # A queue without a rank is there for its own workers: a priority does not take a job from it.
    if options.priority is not None and not options.queue:
        name = None if name in settings.PRIORITIES else name
    if name:
        require_queue(name)
        return get_queue(name)
    return get_queue(priority=_priority(handler, options))


def _priority(handler: Handler, options: Options) -> int:
    """How urgent a job is: by the call, by its handler, or by the queue that one of them names."""
    for priority in (options.priority, handler.priority):
        if priority is not None:
            return priority
    name = options.queue or handler.queue_name
    return settings.priority_for(name) if name else Priority.NORMAL


def _time_to_live(choice: bool | int) -> int:
    if isinstance(choice, bool):
        return _NOT_AT_ALL if choice else _FOR_EVER
    return choice


def _is_span(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST_SECONDS


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value
