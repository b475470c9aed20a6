"""Which rows may be claimed now, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, Q
from django.utils import timezone

from ..models import FallbackJob
from ..models.fallback_job import FallbackJobQuerySet, State


@dataclass(frozen=True)
class Candidates:
    """The rows of some queues, for one claim.

    *alone*: no worker claims from Redis. Then rows with a copy there count as well, but not those
    whose ids are *held*: a worker has them in hand.
    """

    rows: FallbackJobQuerySet
    queue_names: Sequence[str]
    held: Sequence[str]
    alone: bool

    def exist(self) -> bool:
        """Tell whether there are any."""
        due = self.rows.on_queues(self.queue_names).due(timezone.now())
        # Most jobs have no rate limit, and most looks find nothing.
        return self._any(due) and (
            self._any(due.filter(rate_limit_key="")) or self._any(self._within_limits(due))
        )

    def first(self, limit: int, *, lock: bool) -> list[FallbackJob]:
        """Return those to claim next, locked where the database can pass over what others lock."""
        due = self.rows.due(timezone.now()).in_claim_order()
        if lock:
            due = due.select_for_update(skip_locked=True)
        found = self._first(due, limit)
        if any(row.rate_limit_key for row in found):
            found = self._keep_to_limits(self._first(self._within_limits(due), limit))
        return found

    def _any(self, due: FallbackJobQuerySet) -> bool:
        return due.ready().exists() or (self.alone and due.dispatched().exists())

    def _first(self, due: FallbackJobQuerySet, limit: int) -> list[FallbackJob]:
        found: list[FallbackJob] = []
        for name in self.queue_names:  # each is the head of an index, whatever else waits
            room, here = limit - len(found), due.filter(queue_name=name)
            if room == 0:
                break
            rows = list(here.ready()[:room])
            if self.alone:
                rows += here.dispatched().exclude(job_id__in=self.held)[:room]
                rows.sort(key=lambda row: (not row.at_front, row.due_at, row.pk))
            found += rows[:room]
        return found

    def _within_limits(self, due: FallbackJobQuerySet) -> FallbackJobQuerySet:
        """Without those that wait for their rate limit: they hold up no others."""
        used_up = [key for key, (running, most) in self._limits().items() if running >= most]
        return due.exclude(rate_limit_key__in=used_up)

    def _keep_to_limits(self, rows: list[FallbackJob]) -> list[FallbackJob]:
        running = {key: count for key, (count, _) in self._limits().items()}
        kept = []
        for row in rows:
            key = row.rate_limit_key
            if key:
                if running.get(key, 0) >= row.rate_limit_concurrency:
                    continue
                running[key] = running.get(key, 0) + 1
            kept.append(row)
        return kept

    def _limits(self) -> dict[str, tuple[int, int]]:
        """How many jobs of each rate limit run, and how many may: those that were claimed here, and
        those that a live worker still has from Redis."""
        running = Q(state=State.CLAIMED) | Q(state=State.DISPATCHED, job_id__in=self.held)
        limited = self.rows.filter(running).exclude(rate_limit_key="").values("rate_limit_key")
        counts = limited.annotate(running=Count("pk"), most=Max("rate_limit_concurrency"))
        return {each["rate_limit_key"]: (each["running"], each["most"]) for each in counts}
