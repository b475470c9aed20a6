"""What the samples say of an hour, a day or a week: series for charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import QuerySet, Sum

from ..meter import BOUNDS, Kind
from ..models import Measure, Sample
from ..models.measure import BUCKET_COLUMNS

# An interval that lacks its sample is bridged, two are a gap: a sample may come a little late.
_BRIDGED = 2
_SETTLED = timedelta(seconds=50)  # how old a sample is that a rate is measured from, at least
_FORGOTTEN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a chart goes, and how long the intervals are that it is drawn from (seconds)."""

    name: str
    length: timedelta
    step: int


SPANS = {
    span.name: span
    for span in (
        Span("hour", timedelta(hours=1), 60),
        Span("day", timedelta(days=1), 300),
        Span("week", timedelta(days=7), 3600),
    )
}

Series = list[float | None]
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class History:
    """One place for each interval; None where nothing is known of it, as while no worker ran.

    ``times`` are the intervals' starts (seconds since 1970), ``from_redis`` and ``from_database``
    attempts a minute, ``p50`` and ``p99`` seconds that enqueues took, ``waiting`` and ``dead`` how
    many there were, and ``performed`` all attempts from either store.
    """

    times: Sequence[int]
    from_redis: Series
    from_database: Series
    p50: Series
    p99: Series
    waiting: Series
    dead: Series
    performed: tuple[int, int]


def history(span: Span, now: datetime, alias: str) -> History:
    """Read the samples of a span that ends at *now*. Raises what the database raises."""
    first, last = (int(t.timestamp()) // span.step for t in (now - span.length, now))
    since = now - span.length - timedelta(seconds=_BRIDGED * span.step)
    points: dict[int, _Point] = defaultdict(_Point)
    for marks in _marks(_samples(alias).filter(minute__gte=since), span.step).values():
        _add_up(marks, points)
    slots = range(first, last + 1)
    found = [points.get(slot, _Point()) for slot in slots]
    p50, p99 = ([quantile(point.enqueued, share) for point in found] for share in (0.5, 0.99))
    return History(
        [slot * span.step for slot in slots],
        [point.rates[0] if point.rates else None for point in found],
        [point.rates[1] if point.rates else None for point in found],
        p50,
        p99,
        [point.waiting for point in found],
        [point.dead for point in found],
        (sum(point.counts[0] for point in found), sum(point.counts[1] for point in found)),
    )


def throughput(now: datetime, alias: str) -> dict[str, float]:
    """Return the attempts a minute of each queue, over the last minute or two; a queue of which
    nothing is known is not in it."""
    recent = _samples(alias).filter(minute__gte=now - _FORGOTTEN, taken_at__lte=now - _SETTLED)
    then = {each.broker: each for each in recent.order_by("minute")}
    if not then:
        return {}
    performed = performed_by_queue(alias)
    return {
        name: max(sum(performed.get(name, (0, 0))) - sum(before), 0) / _minutes(sample, now)
        for sample in then.values()
        for name, before in sample.performed.items()
    }


def performed_by_queue(
    alias: str, queue_names: Sequence[str] | None = None
) -> dict[str, list[int]]:
    """Return how many attempts have ended: ``{queue: [from Redis, from the database]}``, with each
    of *queue_names*, or all there are."""
    rows = Measure.objects.using(alias).filter(kind=Kind.PERFORMED).order_by()
    if queue_names is not None:
        rows = rows.filter(queue_name__in=queue_names)
    found = {name: [0, 0] for name in queue_names or ()}
    for name, store, count in rows.values_list("queue_name", "store").annotate(Sum("count")):
        found.setdefault(name, [0, 0])[store == "database"] += count
    return found


def enqueued_by_bucket(alias: str, queue_names: Sequence[str]) -> list[int]:
    """Return how many enqueues took how long, by the buckets of ``ENQUEUE_BOUNDS``."""
    rows = Measure.objects.using(alias).filter(kind=Kind.ENQUEUED, queue_name__in=queue_names)
    sums = rows.aggregate(**{f"sum_{name}": Sum(name) for name in BUCKET_COLUMNS})
    return [int(each or 0) for each in sums.values()]


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return what that *share* of the enqueues took at most (seconds), as near as their buckets
    say: None of none. What took longer than the last bound counts as that."""
    bounds = BOUNDS[Kind.ENQUEUED]
    rank = sum(counts) * share
    below, before = 0, 0.0
    for count, bound in zip(counts, bounds, strict=False):
        if count and below + count >= rank:
            return before + (bound - before) * (rank - below) / count
        below, before = below + count, bound
    return bounds[-1] if below < sum(counts) else None


@dataclass(slots=True)
class _Mark:
    """The first and the last sample of an interval, and the most that waited in it."""

    slot: int
    first: Sample
    sample: Sample
    waiting: int | None


@dataclass(slots=True)
class _Point:
    """One interval over all Redis."""

    rates: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0, 0])
    enqueued: list[int] = field(default_factory=list)
    waiting: int | None = None
    dead: int | None = None

    def add(self, mark: _Mark) -> None:
        """Add what is there."""
        if mark.waiting is not None:
            self.waiting = (self.waiting or 0) + mark.waiting
        self.dead = (self.dead or 0) + mark.sample.dead

    def add_growth(self, old: Sample, new: Sample) -> None:
        """Add what has come since the sample before. Sums that shrank were begun anew."""
        counts = [b - a for a, b in zip(_total(old), _total(new), strict=True)]
        enqueued = [b - a for a, b in zip(old.enqueued, new.enqueued, strict=False)]
        if min(counts) >= 0:
            self.rates = _sum(self.rates, [count / _minutes(old, new.taken_at) for count in counts])
            self.counts = _sum(self.counts, counts)
        if min(enqueued, default=0) >= 0:
            self.enqueued = _sum(self.enqueued, enqueued)


def _marks(samples: QuerySet[Sample], step: int) -> Mapping[str, list[_Mark]]:
    """Return the samples of each Redis by interval, in order."""
    found: dict[str, list[_Mark]] = defaultdict(list)
    for sample in samples.order_by("minute").iterator():
        marks, slot = found[sample.broker], int(sample.minute.timestamp()) // step
        first, peaks = sample, [sample.waiting]
        if marks and marks[-1].slot == slot:
            before = marks.pop()
            first = before.first
            peaks.append(before.waiting)
        waiting = max((each for each in peaks if each is not None), default=None)
        marks.append(_Mark(slot, first, sample, waiting))
    return found


def _add_up(marks: Iterable[_Mark], points: Mapping[int, _Point]) -> None:
    before: _Mark | None = None
    for mark in marks:
        points[mark.slot].add(mark)
        if before and mark.slot - before.slot <= _BRIDGED:
            points[mark.slot].add_growth(before.sample, mark.sample)
        elif mark.first is not mark.sample:  # after a gap what came within the interval is known
            points[mark.slot].add_growth(mark.first, mark.sample)
        before = mark


def _samples(alias: str) -> QuerySet[Sample]:
    return Sample.objects.using(alias)


def _total(sample: Sample) -> list[int]:
    both = list(sample.performed.values())
    return [sum(each[0] for each in both), sum(each[1] for each in both)]


def _sum(some: Sequence[N], more: Sequence[N]) -> list[N]:
    return [a + b for a, b in zip(some, more, strict=True)] if some else list(more)


def _minutes(since: Sample, until: datetime) -> float:
    return max((until - since.taken_at).total_seconds(), 1.0) / 60
