"""Rows that are kept until Redis has written the end of their job to disk.

With ``KEEP_FINISHED_UNTIL_FSYNC`` a power loss that takes Redis's last writes does not run a
finished job again: its row is still there, and tells Redis before anything is claimed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from redis.exceptions import ResponseError

from ..conf import settings
from ..stores.brokers import probe
from .station import Station

BATCH = 1000
# Redis before 7.2 can't be asked; with appendfsync everysec it is at most two seconds behind.
_EVERYSEC = timedelta(seconds=3)


def forget_written(station: Station) -> int:
    """Delete finished rows whose end is on disk by now; returns how many."""
    if not settings.KEEP_FINISHED_UNTIL_FSYNC:
        return 0
    written = _written_until(station)
    # Without any persistence nothing is ever written: then age bounds the table.
    oldest = timezone.now() - timedelta(seconds=settings.SETTLED_KEEP)
    with station.table.statement():
        kept = station.table.rows.on_queues(station.queue_names).finished()
        over = kept.filter(redis_copy=True, check_at__lt=max(written, oldest))
        pks = list(over.values_list("pk", flat=True)[:BATCH])
        return station.table.rows.finished().filter(pk__in=pks).delete()[0]


def _written_until(station: Station) -> datetime:
    """Return a moment before which everything that Redis was told is on its disk."""
    link = station.redis.link
    lines = link.call("INFO", "persistence").decode().splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    if info.get("aof_enabled") != "1":
        return datetime.fromtimestamp(int(info.get("rdb_last_save_time", 0)), UTC)
    before = timezone.now()
    probe(link)  # the log is written in order: once this is on disk, all before it is
    try:
        waited = link.call("WAITAOF", 1, 0, 500)
    except ResponseError:  # an unknown command: Redis before 7.2
        is_behind = info.get("aof_pending_bio_fsync") != "0"
        return datetime.min.replace(tzinfo=UTC) if is_behind else before - _EVERYSEC
    return before if waited and waited[0] >= 1 else datetime.min.replace(tzinfo=UTC)
