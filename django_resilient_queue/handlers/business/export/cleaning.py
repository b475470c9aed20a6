"""The task ``expired_exports`` of cleanup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone

from ...cleanups import Find, cleanup_task, pages
from .publishing import exports, remove_file


@cleanup_task("expired_exports")
def expired_exports(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """Files whose time is over, and those of exports that were cancelled or failed: what
    `publishing.expire_exports` takes away at each export, one by one."""
    now = timezone.now()
    going = exports().overdue(now).exclude(path="") | exports().with_useless_file()
    for page in pages(going, limit, "size"):
        for pk, size in page:
            yield Find(partial(_remove, pk, now), (f"export {pk}",), size=size)


def _remove(pk: int, now: datetime) -> int:
    exports().expire(pk, now)
    export = exports().with_useless_file().filter(pk=pk).first()
    if export is None:
        return 0
    remove_file(export)
    return 1
