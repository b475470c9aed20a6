"""How many letters there are of each kind, for whoever narrows a list; read from their tally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from django.db.models import Sum

from ..models import LetterTally
from ..stores.database import DatabaseStore

NAMES = ("status", "handler", "queue_name", "reason", "category", "error_class")
MOST = 20_000  # kinds that are read: with more of them counts are too low, and names are missing


class Facets:
    """The tally's sums by the columns in NAMES, as they were when this was made: one query."""

    def __init__(self) -> None:
        tally = LetterTally.objects.using(DatabaseStore().alias).filter(fingerprint="").order_by()
        sums = tally.values_list(*NAMES).annotate(total=Sum("count")).filter(total__gt=0)
        self._rows = list(sums[:MOST])

    def counts(self, name: str, given: Mapping[str, str]) -> Counter[str]:
        """Count letters by one column, among those that fit what else is *given*."""
        place, found = NAMES.index(name), Counter[str]()
        others = [(NAMES.index(other), value) for other, value in given.items() if other != name]
        for row in self._rows:
            if all(row[other] == value for other, value in others):
                found[row[place]] += row[-1]
        return found

    def total(self, given: Mapping[str, str]) -> int:
        """Count letters that fit all that is *given*."""
        by_status = self.counts("status", given)
        return by_status[given["status"]] if "status" in given else by_status.total()

    def like(self, name: str, words: str) -> Iterator[str]:
        """Find the values of a column that contain some words, whatever their case."""
        return (each for each in self.counts(name, {}) if words.lower() in each.lower())
