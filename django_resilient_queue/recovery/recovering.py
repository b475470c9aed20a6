"""Requeued letters that were not told that their new job finished: its worker died just then."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone
from rq.job import JobStatus

from .station import Station

BATCH = 200
_PATIENCE = timedelta(seconds=5)  # in which the worker itself tells the letter
_CURSOR = "letters"


def recover_letters(station: Station, cursors: dict[str, int]) -> int:
    """Look at the next requeued letters without a row; returns how many had recovered.

    *cursors* remembers the last one, so that many whose job is still to run cost little at a time.
    """
    letters = station.table.letters
    dead_again = letters.filter(requeued_from=OuterRef("pk"))
    rows = station.table.rows.filter(job_id=OuterRef("requeued_as"))
    pending = letters.requeued().filter(
        ~Exists(rows),
        ~Exists(dead_again),
        pk__gt=cursors.get(_CURSOR, 0),
        changed_at__lt=timezone.now() - _PATIENCE,
    )
    with station.table.statement():
        found = list(pending.order_by("pk").values_list("pk", "requeued_as")[:BATCH])
    cursors[_CURSOR] = found[-1][0] if len(found) == BATCH else 0
    keys = [f"{station.redis.keys.job_prefix}{job_id}" for _, job_id in found]
    answers = station.redis.link.call_all([("HGET", key, "status") for key in keys])
    finished = str.encode(JobStatus.FINISHED)
    over = [pk for (pk, _), status in zip(found, answers, strict=True) if status == finished]
    if not over:
        return 0
    with station.table.transaction():
        return letters.recover(over)
