"""The task ``expired_exports`` of cleanup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.utils import timezone

from ...cleanups import Find, cleanup_task, pages
from .publishing import expire_exports, exports


@cleanup_task("expired_exports")
def expired_exports(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """Files whose time is over, and those of exports that were cancelled or failed."""
    overdue = exports().overdue(timezone.now()).exclude(path="")
    going = overdue | exports().with_useless_file()
    for page in pages(going, limit, "size"):
        names = [f"export {pk}" for pk, _size in page]
        size = sum(size or 0 for _pk, size in page)
        yield Find(partial(expire_exports, len(page)), names, count=len(page), size=size)
