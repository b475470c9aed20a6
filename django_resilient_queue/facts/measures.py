"""What all processes have counted since the tables were made, as far as it is written: figures are
a few seconds old (``METRICS_INTERVAL``), and lack what killed processes had not written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from django.db.models import QuerySet, Sum

from ..conf import settings
from ..meter import BOUNDS, OTHER, Key, Kind, Sums
from ..models import Measure
from ..models.measure import SUMMED
from ..stores.measures import first_types


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts[i]`` took at most ``bounds[i]`` seconds, inclusive and cumulative; the last of the
    counts, one more than there are bounds, is of all. ``seconds`` is their sum."""

    bounds: Sequence[float]
    counts: Sequence[int]
    seconds: float

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts[-1]

    @classmethod
    def of(cls, kind: str, sums: Sums) -> Histogram:
        """Make the histogram of the sums of a kind."""
        return cls(BOUNDS[kind], tuple(accumulate(sums.buckets)), sums.seconds)


def enqueue_durations(alias: str = "") -> Histogram:
    """How long calls took until a store had their job, over all queues."""
    values = _rows(alias).filter(kind=Kind.ENQUEUED).aggregate(**_SUMS)
    return Histogram.of(Kind.ENQUEUED, _sums([values[name] or 0 for name in _SUMS]))


def performed_by_store(alias: str = "") -> dict[str, int]:
    """How many attempts have ended, by the store that their jobs came from: ``redis`` and
    ``database``."""
    rows = _rows(alias).filter(kind=Kind.PERFORMED).order_by()
    found = dict(rows.values_list("store").annotate(Sum("count")))
    return {"redis": found.get("redis", 0), "database": found.get("database", 0)}


def lost_by_path(alias: str = "") -> dict[str, int]:
    """How many jobs are known to be lost, by the code of the path."""
    rows = _rows(alias).filter(kind=Kind.LOST).order_by()
    return dict(rows.values_list("detail").annotate(Sum("count")))


def measures(alias: str = "") -> dict[Key, Sums]:
    """All sums by key. There are at most METRICS_TYPES types of jobs in them, besides ``other``:
    the first ones that were counted, so that no sum ever gets smaller."""
    kept = {"", *first_types(alias or settings.DATABASE)[: settings.METRICS_TYPES]}
    found: dict[Key, Sums] = {}
    for row in _rows(alias).order_by().values_list(*Key._fields).annotate(**_SUMS):
        key = Key(*row[: len(Key._fields)])
        label = key if key.job_type in kept else key._replace(job_type=OTHER)
        found.setdefault(label, Sums()).add(_sums(row[len(Key._fields) :]))
    return found


_SUMS = {f"sum_{name}": Sum(name) for name in SUMMED}


def _rows(alias: str) -> QuerySet[Measure]:
    return Measure.objects.using(alias or settings.DATABASE)


def _sums(values: Sequence[float]) -> Sums:
    count, failed, retried, seconds, *buckets = values
    of_each = [int(n) for n in buckets]
    return Sums(int(count), int(failed), int(retried), float(seconds), buckets=of_each)
