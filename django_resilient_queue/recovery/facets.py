"""How many letters there are of each kind, for whoever narrows a list; read from their tally.

Errors have by far the most names, so they are counted by the database, and only the most frequent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import Lower

from ..models import LetterTally
from ..stores.database import DatabaseStore

ERROR = "error_class"
NAMES = ("status", "handler", "queue_name", "reason", "category")
MOST = 20_000  # kinds that are read: with more of them counts are too low, and names are missing
_MOST_ERRORS = 20
_MOST_LIKE = 50


class Facets:
    """The sums as they are when they are first asked for."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._fits: dict[frozenset[tuple[str, str]], list[tuple[Any, ...]]] = {}

    def is_cut(self, status: str = "") -> bool:
        """Tell whether there may be more letters, of one status or of any, than are counted."""
        return False

    def counts(self, name: str, given: Mapping[str, str]) -> Counter[str]:
        """Count letters by one column, NAMES or ERROR, among those that fit what else is *given*;
        of errors the most frequent."""
        others = {other: value for other, value in given.items() if other != name}
        if name == ERROR:
            sums: Any = _sums(_tally().filter(**others), ERROR)
            return Counter(dict(sums.order_by("-total", ERROR)[:_MOST_ERRORS]))
        found, place = Counter[str](), NAMES.index(name)
        for row in self._fitting(others):
            found[row[place]] += row[-1]
        return found

    def total(self, given: Mapping[str, str]) -> int:
        """Count letters that fit all that is *given*."""
        return sum(row[-1] for row in self._fitting(given))

    def like(self, name: str, words: str) -> list[str]:
        """Find values of a column that contain some words, whatever their case; a few of many."""
        # MariaDB compares names by code points; its `icontains` trusts columns not to.
        rows = _tally().alias(lower=Lower(name)).filter(lower__contains=words.lower())
        return list(rows.values_list(name, flat=True).distinct()[:_MOST_LIKE])

    def _fitting(self, given: Mapping[str, str]) -> list[tuple[Any, ...]]:
        """Return the sums that fit; the filters of a page ask for the same ones again and again."""
        key = frozenset(given.items())
        if key not in self._fits:
            rows = self._of_error(given.get(ERROR, ""))
            for name in given.keys() - {ERROR}:
                place = NAMES.index(name)
                rows = [row for row in rows if row[place] == given[name]]
            self._fits[key] = rows
        return self._fits[key]

    def _of_error(self, error: str) -> list[tuple[Any, ...]]:
        """Return the sums of one error, or of all; they are read once."""
        if error not in self._rows:
            tally = _tally().filter(**({ERROR: error} if error else {}))
            self._rows[error] = list(_sums(tally, *NAMES)[:MOST])
        return self._rows[error]


def _tally() -> QuerySet[LetterTally]:
    return LetterTally.objects.using(DatabaseStore().alias).filter(fingerprint="").order_by()


def _sums(rows: QuerySet[LetterTally], *names: str) -> QuerySet[LetterTally, Any]:
    return rows.values_list(*names).annotate(total=Sum("count")).filter(total__gt=0)
