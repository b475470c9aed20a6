"""Requeued letters that were not told that their new job finished: its worker died just then."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone
from rq.job import JobStatus

from ..models.dead_letter import DeadLetterQuerySet
from .station import Station

BATCH = 200
_PATIENCE = timedelta(seconds=5)  # in which the worker itself tells the letter
_FINISHED = str.encode(JobStatus.FINISHED)


class Recovering:
    """A walk through the requeued letters, a batch at a time, again and again."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self._last = 0  # key of the letter it looked at last

    def walk_on(self) -> int:
        """Look at the next letters without a row; returns how many had recovered."""
        with self.station.table.statement():
            pending = self._pending().filter(pk__gt=self._last).order_by("pk")
            found = list(pending.values_list("pk", "requeued_as")[:BATCH])
        self._last = found[-1][0] if len(found) == BATCH else 0
        over = self._finished(found)
        if not over:
            return 0
        with self.station.table.transaction():
            return self.station.table.letters.recover(over)

    def _pending(self) -> DeadLetterQuerySet:
        letters = self.station.table.letters
        dead_again = letters.filter(requeued_from=OuterRef("pk"))
        rows = self.station.table.rows.filter(job_id=OuterRef("requeued_as"))
        long_ago = timezone.now() - _PATIENCE
        return letters.requeued().filter(
            ~Exists(rows), ~Exists(dead_again), changed_at__lt=long_ago
        )

    def _finished(self, found: list[tuple[int, str | None]]) -> list[int]:
        """Ask Redis which of the jobs have finished; returns the keys of their letters."""
        redis = self.station.redis
        keys = [f"{redis.keys.job_prefix}{job_id}" for _, job_id in found]
        answers = redis.link.call_all([("HGET", key, "status") for key in keys])
        return [pk for (pk, _), status in zip(found, answers, strict=True) if status == _FINISHED]
