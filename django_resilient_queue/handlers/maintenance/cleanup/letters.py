"""The task ``dead_letters``: those that have had their time, by the settings of their retention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.utils import timezone

from ....recovery.retention import expire_letters, expired
from ....stores.database import DatabaseStore
from ...cleanups import Find, cleanup_task, pages


@cleanup_task("dead_letters")
def dead_letters(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """What workers delete by themselves, archived first where ARCHIVE_STORAGE is set."""
    over = expired(DatabaseStore().letters, timezone.now())
    for page in pages(over, limit, "handler", "job_id"):
        names = [f"{handler} {job_id}" for _pk, handler, job_id in page]
        yield Find(partial(expire_letters, len(page)), names, count=len(page))
