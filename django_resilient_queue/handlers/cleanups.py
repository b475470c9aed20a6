"""The tasks of cleanup: each finds what may go, and knows how it goes. Nothing is removed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from .catalogue import Catalogue

BATCH = 500


@dataclass(frozen=True, slots=True)
class Find:
    """One thing that may go, or *count* that go at once.

    ``remove`` is called at most once, before the next find is asked for, and not in a dry run. It
    returns how many went: fewer than *count* where others were quicker. *names* are what a report
    lists, *size* is in bytes.
    """

    remove: Callable[[], int]
    names: Sequence[str] = ()
    count: int = 1
    size: int = 0


Finder = Callable[[Mapping[str, Any], int], Iterable[Find]]
F = TypeVar("F", bound=Finder)


@dataclass(frozen=True, slots=True)
class CleanupTask:
    """What `cleanup_task` was given."""

    name: str
    function: Finder
    options: type[Any] | None = None


cleanup_tasks = Catalogue[CleanupTask]("cleanup task", "cleanup_tasks")


def cleanup_task(name: str, *, options: type[Any] | None = None) -> Callable[[F], F]:
    """Register a function of options (a dict) and a limit that yields each `Find`, lazily.

    It finds no more than *limit* things, looks and touches nothing; what a find's ``remove`` raises
    is reported, and the next is asked for. *options* is a serializer class, without one the task
    has none. Found in each app's ``cleanup_tasks.py``. Raises ImproperlyConfigured.
    """

    def register(function: F) -> F:
        try:
            inspect.signature(function).bind({}, 1)
        except TypeError:
            words = "it must take two arguments, the options and the limit"
            raise ImproperlyConfigured(f"cleanup task {name!r}: {words}") from None
        cleanup_tasks.add(CleanupTask(name, function, options))
        return function

    return register


def pages(rows: QuerySet[Any, Any], limit: int, *fields: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the key and *fields* of at most *limit* rows, in batches by key: each row once, those
    of a batch that failed to go as well."""
    last: Any = None
    while limit > 0:
        rest = rows if last is None else rows.filter(pk__gt=last)
        page = list(rest.order_by("pk").values_list("pk", *fields)[: min(BATCH, limit)])
        if not page:
            return
        yield page
        last, limit = page[-1][0], limit - len(page)
