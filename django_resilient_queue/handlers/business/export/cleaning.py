"""The task ``expired_exports`` of cleanup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from ....conf import settings
from ....models.export import ExportQuerySet
from ...cleanups import Find, cleanup_task, pages
from .publishing import exports, remove_file


@cleanup_task("expired_exports")
def expired_exports(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """Files whose time is over, those of exports that were cancelled or failed, and rows that have
    been without one as long again: what `publishing.expire_exports` takes away at each export."""
    now = timezone.now()
    # Rows first: those whose files go in this round are not to follow, as a dry run can't tell.
    for page in pages(_forgettable(now), limit):
        limit -= len(page)
        keys = [key for (key,) in page]
        yield Find(partial(_forget, keys, now), [f"export {key}" for key in keys], len(keys))
    going = exports().overdue(now).exclude(path="") | exports().with_useless_file()
    for page in pages(going, limit, "size"):
        for pk, size in page:
            yield Find(partial(_remove, pk, now), (f"export {pk}",), size=size)


def _forgettable(now: datetime) -> ExportQuerySet:
    return exports().forgettable(now, timedelta(days=settings.EXPORT_DAYS))


def _forget(keys: list[int], now: datetime) -> int:
    return _forgettable(now).filter(pk__in=keys).delete()[0]


def _remove(pk: int, now: datetime) -> int:
    exports().expire(pk, now)
    export = exports().with_useless_file().filter(pk=pk).first()
    if export is None:
        return 0
    remove_file(export)
    return 1
