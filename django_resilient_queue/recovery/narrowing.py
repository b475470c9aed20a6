"""Lists of letters of several kinds at once, at the same cost whether they are many or few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from .facets import ERROR, NAMES, Facets
from .selection import Selection

Rows = TypeVar("Rows", bound=QuerySet[Any])
SHARE = 20  # a list is walked where at least one letter in so many is of the others' kinds, too
MOST = 10_000  # letters that are fetched to be sorted


def narrowed(letters: Rows, given: Mapping[str, str], facets: Facets) -> Rows:
    """Return *letters*, which are narrowed to columns with their values, so that the database
    fetches and sorts them where they are few.

    It takes kinds for independent of each other: of two that are frequent it expects many letters
    that are both, and would walk along all of the newer ones to find the few that there are. The
    tally knows better. What it says decides how letters are found, not which.
    """
    columns = sorted(given.keys() - {"status"})
    if len(columns) < 2 or not _are_few(given, columns, facets):
        return letters
    # True of each of them. No database knows how many rows an expression leaves, it expects few: of
    # one for each column fewer than a page has, for which it walks along nothing.
    same = letters.alias(**{f"same_{name}": Concat(name, Value("")) for name in columns})
    return same.filter(**{f"same_{name}": given[name] for name in columns})


def kinds_of(selection: Selection, status: str = "") -> dict[str, str]:
    """Return what a selection is narrowed to, by columns, of one status or of all."""
    names = {*NAMES, ERROR} - {"status"}
    given = {name: value for name in sorted(names) if (value := getattr(selection, name))}
    return {**given, "status": status} if status else given


def _are_few(given: Mapping[str, str], columns: list[str], facets: Facets) -> bool:
    status = {name: given[name] for name in ("status",) if name in given}
    walked = min(facets.total({**status, name: given[name]}) for name in columns)
    return facets.total(given) <= min(walked // SHARE, MOST)
