"""Dead letters in numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min
from django.utils import timezone

from ..models.dead_letter import DeadLetterQuerySet

MOST = 20  # lines of each list
_AGES = (
    ("1 hour", timedelta(hours=1)),
    ("1 day", timedelta(days=1)),
    ("1 week", timedelta(days=7)),
)


def statistics(letters: DeadLetterQuerySet) -> dict[str, Any]:
    """Count letters that wait for somebody: ``total``, ``by_handler``, ``by_category``,
    ``by_error_class`` (the most frequent ones, with their counts), ``by_age`` and ``oldest``, as
    JSON values; ``by_status`` counts all."""
    dead = letters.dead()
    by_status = dict(
        letters.order_by()
        .values_list("status")
        .annotate(Count("pk"))
        .values_list("status", "pk__count")
    )
    return {
        "total": by_status.get("dead", 0),
        "by_status": by_status,
        "by_handler": _counts(dead, "handler"),
        "by_category": _counts(dead, "category"),
        "by_error_class": _counts(dead, "error_class"),
        "by_age": _by_age(dead, timezone.now()),
        "oldest": _oldest(dead),
    }


def groups(letters: DeadLetterQuerySet, limit: int = MOST) -> list[dict[str, Any]]:
    """Return the same errors as one: fingerprint, error class, a message, count, first and last
    seen; the most frequent first."""
    same = letters.dead().order_by().values("fingerprint", "error_class")
    counted = same.annotate(
        count=Count("pk"),
        message=Max("message"),
        first_seen=Min("died_at"),
        last_seen=Max("died_at"),
    )
    return [dict(each) for each in counted.order_by("-count", "fingerprint")[:limit]]


def _counts(dead: DeadLetterQuerySet, name: str) -> dict[str, int]:
    counted = dead.order_by().values(name).annotate(count=Count("pk"))
    return {each[name]: each["count"] for each in counted.order_by("-count", name)[:MOST]}


def _by_age(dead: DeadLetterQuerySet, now: datetime) -> dict[str, int]:
    counts, until = {}, now
    for name, age in _AGES:
        counts[f"under {name}"] = dead.filter(died_at__gt=now - age, died_at__lte=until).count()
        until = now - age
    counts["older"] = dead.filter(died_at__lte=until).count()
    return counts


def _oldest(dead: DeadLetterQuerySet) -> dict[str, Any] | None:
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
