"""What somebody sees of the letters, where an admin of a project's own shows a part of them.

The tally is of all letters: its numbers, and the names in it, are not for who sees fewer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.http import HttpRequest

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.facets import ERROR, NAMES, Facets
from django_resilient_queue.recovery.statistics import oldest_of
from django_resilient_queue.stores.database import DatabaseStore

MOST = 5_000  # letters of each status that are counted
_PLACES = {name: place for place, name in enumerate((*NAMES, ERROR))}


def is_narrowed(letters: QuerySet[Any]) -> bool:
    """Tell whether the queryset of an admin may have less than all letters: whether it is any other
    than theirs, or asks the database for anything else."""
    every = DatabaseStore().letters
    if type(letters) is not type(every) or letters.db != every.db:
        return True
    if letters.query.is_sliced or letters.query.combinator:  # of which no other can be made
        return True
    try:
        return bool(_asked(letters) != _asked(every))
    except EmptyResultSet:
        return True


def seen_of(site: AdminSite, request: HttpRequest) -> QuerySet[DeadLetter] | None:
    """Return the letters that a site shows to a user; None for all."""
    if not site.is_registered(DeadLetter):
        return None
    letters = site.get_model_admin(DeadLetter).get_queryset(request)
    return letters if is_narrowed(letters) else None


class Seen(Facets):
    """How many of some letters there are of each kind. No further than MOST of a status are
    counted: with more of them counts are too low, and names may be missing."""

    def __init__(self, letters: QuerySet[Any]) -> None:
        super().__init__()
        self._letters = letters
        self._kinds: dict[str, Counter[tuple[Any, ...]]] = {}

    def counts(self, name: str, given: Mapping[str, str]) -> Counter[str]:
        """Count letters by one column among those that fit what else is *given*."""
        found = Counter[str]()
        others = {other: value for other, value in given.items() if other != name}
        for kind, count in self._fitting_kinds(others):
            found[kind[_PLACES[name]]] += count
        return found

    def total(self, given: Mapping[str, str]) -> int:
        """Count letters that fit all that is *given*."""
        return sum(count for _, count in self._fitting_kinds(given))

    def is_cut(self, status: str = "") -> bool:
        """Tell whether there may be more letters, of one status or of any, than were counted."""
        some = [status] if status else Status.values
        return any(self._kinds_of(each).total() >= MOST for each in some)

    def summary(self) -> dict[str, Any]:
        """Say the same of those that wait for somebody as `statistics` does of all, as far as the
        overview shows it."""
        given = {"status": Status.DEAD.value}
        return {
            "total": self.total(given),
            "is_capped": self.is_cut(Status.DEAD),
            "by_category": dict(self.counts("category", given).most_common()),
            "oldest": oldest_of(self._letters.filter(**given)),
        }

    def _fitting_kinds(self, given: Mapping[str, str]) -> Iterator[tuple[tuple[Any, ...], int]]:
        for status in [given["status"]] if "status" in given else Status.values:
            for kind, count in self._kinds_of(status).items():
                if all(kind[_PLACES[name]] == value for name, value in given.items()):
                    yield kind, count

    def _kinds_of(self, status: str) -> Counter[tuple[Any, ...]]:
        if status not in self._kinds:
            # In no order, for which the database may read an index alone.
            some = self._letters.filter(status=status).order_by()
            self._kinds[status] = Counter(some.values_list(*NAMES, ERROR)[:MOST])
        return self._kinds[status]


def _asked(letters: QuerySet[Any]) -> Any:
    return letters.order_by().values("pk").query.sql_with_params()
