"""Dead letters in numbers, read from their tally as far as it says what is asked."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone

from ..models import DeadLetter, LetterTally
from ..models.dead_letter import DeadLetterQuerySet, Status
from ..models.letter_tally import start_of_day, start_of_hour
from ..stores.database import DatabaseStore
from .selection import Selection

MOST = 20  # lines of each list
NEWEST = 5_000  # letters that groups of a part of them are counted among
ALL = Selection()
_TRIES = 3
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# How old, and how long the tally's periods are at that age.
_AGES = (
    ("under 1 hour", _HOUR, _HOUR),
    ("under 1 day", _DAY, _HOUR),
    ("under 1 week", 7 * _DAY, _DAY),
)
_LISTS = ("handler", "category", "error_class")


def statistics(selection: Selection = ALL) -> dict[str, Any]:
    """Count letters that wait for somebody: ``total``, ``by_handler``, ``by_category``,
    ``by_error_class`` (the most frequent ones, with their counts), ``by_age`` and ``oldest``, as
    JSON values; ``by_status`` counts all. Reads no letters but those at the edge of an age, unless
    the selection is of ids or moments."""
    by_status: Counter[str] = Counter()
    lists: dict[str, Counter[str]] = {name: Counter() for name in _LISTS}
    for status, *names, count in _kinds(selection):
        by_status[status] += count
        for name, value in zip(_LISTS, names, strict=True):
            lists[name][value] += count if status == Status.DEAD else 0
    dead = selection.among(DatabaseStore().letters.dead())
    total = by_status[Status.DEAD]
    return {
        "total": total,
        "by_status": dict(+by_status),
        **{f"by_{name}": _most(counts) for name, counts in lists.items()},
        "by_age": _by_age(selection, dead, timezone.now(), total),
        "oldest": oldest_of(dead),
    }


def groups(selection: Selection = ALL, limit: int = MOST) -> list[dict[str, Any]]:
    """Return the same errors as one: fingerprint, error class, the newest one's message, count,
    first and last seen; the most frequent first."""
    letters = selection.among(DatabaseStore().letters.dead())
    rows: QuerySet[Any] = letters
    if selection.is_of_kinds:
        rows = selection.among(_tally().filter(status=Status.DEAD)).exclude(fingerprint="")
    same = rows.order_by().values("fingerprint", "error_class")
    counted = same.annotate(
        any=Min("pk"), total=Sum("count") if rows is not letters else Count("pk")
    )
    most = counted.filter(total__gt=0).order_by("-total", "fingerprint")[:limit]
    for _ in range(_TRIES):
        found = list(most.all())  # asks again each time
        ends = _ends(rows, letters, [each["any"] for each in found])
        if len(ends) == len(found):  # else a row was folded into another just then
            break
    return [
        {
            "fingerprint": each["fingerprint"],
            "error_class": each["error_class"],
            "count": each["total"],
            **ends[each["any"]],
        }
        for each in found
        if each["any"] in ends
    ]


def dead_by_queue() -> dict[str, int]:
    """Count letters that wait for somebody by the queue of their jobs."""
    rows = _tally().filter(fingerprint="", status=Status.DEAD).order_by()
    sums = rows.values_list("queue_name").annotate(Sum("count"))
    return {name: count for name, count in sums if count > 0}


def oldest_of(dead: QuerySet[DeadLetter]) -> dict[str, Any] | None:
    """Return what is told of the letter that died first."""
    letter = dead.order_by("died_at").only("job_id", "died_at").first()
    if letter is None:
        return None
    days = (timezone.now() - letter.died_at).total_seconds() / 86400
    return {
        "id": letter.pk,
        "job_id": letter.job_id,
        "died_at": letter.died_at.isoformat(),
        "days": round(days, 1),
    }


def groups_among(letters: QuerySet[DeadLetter], limit: int = MOST) -> list[dict[str, Any]]:
    """Return the groups of some letters alone, counted among the NEWEST that wait for somebody:
    ``is_capped`` says that there may be more of each."""
    dead = letters.filter(status=Status.DEAD)
    newest = dead.exclude(fingerprint="").order_by("-died_at")
    found: Counter[tuple[str, str]] = Counter()
    some: dict[tuple[str, str], int] = {}
    for pk, fingerprint, error in newest.values_list("pk", "fingerprint", "error_class")[:NEWEST]:
        found[fingerprint, error] += 1
        some[fingerprint, error] = pk
    most = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:limit]
    ends = _ends(dead, dead, [some[same] for same, _ in most])
    return [
        {
            "fingerprint": same[0],
            "error_class": same[1],
            "count": count,
            "is_capped": found.total() == NEWEST,
            **ends[some[same]],
        }
        for same, count in most
        if some[same] in ends
    ]


def _ends(
    rows: QuerySet[Any], letters: QuerySet[DeadLetter], pks: list[int]
) -> dict[int, dict[str, Any]]:
    """Look up the two ends of the groups that some rows are of, each along its index."""
    # A fingerprint is of one error class. Asked for both, PostgreSQL takes them for independent,
    # expects hardly a letter, and sorts all of a group where it could take the first one.
    same = letters.filter(fingerprint=OuterRef("fingerprint"))
    newest, oldest = same.order_by("-died_at"), same.order_by("died_at")
    found = rows.model._default_manager.using(rows.db).filter(pk__in=pks).order_by()
    ends = found.values("pk").annotate(
        newest=Subquery(newest.values("message")[:1]),
        first_seen=Subquery(oldest.values("died_at")[:1]),
        last_seen=Subquery(newest.values("died_at")[:1]),
    )
    return {end.pop("pk"): {"message": end.pop("newest") or "", **end} for end in map(dict, ends)}


def _kinds(selection: Selection) -> QuerySet[Any, Any]:
    """Return status, function, category, error class and how many there are."""
    if not selection.is_of_kinds:
        letters = selection.among(DatabaseStore().letters).order_by()
        return letters.values_list("status", *_LISTS).annotate(Count("pk"))
    tally = selection.among(_tally().filter(fingerprint=selection.fingerprint)).order_by()
    return tally.values_list("status", *_LISTS).annotate(Sum("count"))


def _most(counts: Counter[str]) -> dict[str, int]:
    positive = [(name, count) for name, count in counts.items() if count > 0]
    return dict(sorted(positive, key=lambda each: (-each[1], each[0]))[:MOST])


def _by_age(
    selection: Selection, dead: DeadLetterQuerySet, now: datetime, total: int
) -> dict[str, int]:
    if selection.is_of_kinds and not selection.fingerprint:
        younger = _younger_by_tally(selection, dead, now)
    else:
        younger = [dead.filter(died_at__gt=now - age).count() for _, age, _ in _AGES]
    edges = [0, *younger, max(total, *younger)]
    names = [*(name for name, _, _ in _AGES), "older"]
    return {name: edges[i + 1] - edges[i] for i, name in enumerate(names)}


def _younger_by_tally(selection: Selection, dead: DeadLetterQuerySet, now: datetime) -> list[int]:
    """Count whole periods by their sums, and letters in the one that an age divides."""
    ends = [_end_of_period(now - age, length) for _, age, length in _AGES]
    tally = selection.among(_tally().filter(fingerprint="", status=Status.DEAD))
    sums = tally.aggregate(
        **{f"n{i}": Sum("count", filter=Q(period__gte=end)) for i, end in enumerate(ends)}
    )
    return [
        (sums[f"n{i}"] or 0) + dead.filter(died_at__gt=now - age, died_at__lt=ends[i]).count()
        for i, (_, age, _) in enumerate(_AGES)
    ]


def _end_of_period(moment: datetime, length: timedelta) -> datetime:
    start = start_of_hour(moment) if length == _HOUR else start_of_day(moment)
    return start + length


def _tally() -> QuerySet[LetterTally]:
    return LetterTally.objects.using(DatabaseStore().alias)
