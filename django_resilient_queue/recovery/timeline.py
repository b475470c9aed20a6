"""When the letters of a group died, for a small picture; counted by the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncHour

from ..models import DeadLetter
from ..models.letter_tally import start_of_hour

SPAN = timedelta(days=7)
BINS = 28  # of six hours each
MOST = 2_000  # letters that are counted, the newest
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Timeline:
    """How many letters died in each of BINS equal parts of the last SPAN, the oldest part first.
    *since* is when the first one died of only the newest that were counted; None where all were."""

    counts: Sequence[int]
    start: datetime
    since: datetime | None = None

    @property
    def total(self) -> int:
        """How many that are."""
        return sum(self.counts)

    @property
    def unknown(self) -> int:
        """How many of the parts, the oldest, nothing was counted in."""
        return 0 if self.since is None else _place(self.since, self.start)


def timeline(letters: QuerySet[DeadLetter], count: int | None, now: datetime) -> Timeline:
    """Count the letters of one group over the last days; *count* is how many there are of it, None
    where nobody knows."""
    end = start_of_hour(now) + _HOUR  # as hours are what databases count by
    start = end - SPAN
    recent = letters.filter(died_at__gte=start, died_at__lt=end).order_by("-died_at")
    since = None
    if count is None or count > MOST:
        since = recent.values_list("died_at", flat=True)[MOST - 1 : MOST].first()
    if since is not None:
        recent = recent.filter(died_at__gt=since)
    counts = [0] * BINS
    hours = recent.order_by().annotate(hour=TruncHour("died_at", tzinfo=UTC)).values_list("hour")
    for hour, number in hours.annotate(number=Count("*")):
        counts[_place(hour, start)] += number
    if since is not None:
        # Of those that died at the same moment as the last one, so many as make them MOST, unless
        # as many have died just now.
        counts[_place(since, start)] += max(MOST - sum(counts), 0)
    return Timeline(counts, start, since)


def _place(moment: datetime, start: datetime) -> int:
    return int((moment - start) / SPAN * BINS)
