"""How many letters a selection means: exactly as long as they are few, else by their tally."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from django.db.models import Sum

from ..models import LetterTally
from ..models.dead_letter import DeadLetterQuerySet, Status
from ..stores.database import DatabaseStore
from .facets import Facets
from .narrowing import kinds_of, narrowed
from .selection import Selection

MOST = 10_000  # letters that are counted: somebody waits for it


class Count(NamedTuple):
    """So many letters, or about so many: the tally does not tell the moments of a selection."""

    number: int
    is_exact: bool


def count(selection: Selection, status: str = "", facets: Facets | None = None) -> Count:
    """Count the letters of a status, or of all, that a selection means."""
    few = letters_of(selection, status, facets).order_by().values("pk")[: MOST + 1].count()
    if few <= MOST:
        return Count(few, is_exact=True)
    return Count(max(few, _tallied(selection, status)), is_exact=False)


def letters_of(
    selection: Selection, status: str = "", facets: Facets | None = None
) -> DeadLetterQuerySet:
    """Return the letters of a status, or of all, that a selection means. *facets* are given by who
    asks more than once."""
    # All are named, since indexes begin with the status.
    statuses = [status] if status else Status.values
    letters = selection.among(DatabaseStore().letters.filter(status__in=statuses))
    return narrowed(letters, kinds_of(selection, status), facets or Facets())


def _tallied(selection: Selection, status: str) -> int:
    tally = LetterTally.objects.using(DatabaseStore().alias)
    rows = tally.filter(fingerprint=selection.fingerprint, **({"status": status} if status else {}))
    kinds = replace(selection, ids=(), since=None, until=None)
    return kinds.among(rows).aggregate(total=Sum("count"))["total"] or 0
