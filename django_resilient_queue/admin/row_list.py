"""What a list in the admin lets itself be asked, by its own links or by hand."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import FloatField, Model, QuerySet
from django.http import HttpRequest

_LONGEST = 10_000  # characters of one value

# Columns that no page shows without asking more of its user than to look.
_SECRET = frozenset(
    (
        "auth",
        "claim_token",
        "data",
        "endpoint",
        "in_flight",  # with the tokens of claims
        "outcome",
        "p256dh",
        "path",
        "payload",
        "token",
    )
)


# What a column is compared with a value by. All else would read the whole table, and fails at much
# of what can be written into an address.
_COMPARISONS = frozenset(("exact", "gt", "gte", "in", "isempty", "isnull", "lt", "lte"))


class RowList(ChangeList):
    """A list that is sorted along an index, and narrowed by what a database can compare with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except OverflowError as error:
            # A number or a moment that the database's client can't write.
            raise IncorrectLookupParameters(error) from error

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Narrow it down. Raises IncorrectLookupParameters for a NUL, which PostgreSQL fails at,
        and for words of a length that SQLite does."""
        given = [value for _name, values in request.GET.lists() for value in values]
        if any("\0" in value or len(value) > _LONGEST for value in given):
            raise IncorrectLookupParameters
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Sort by no column that its head does not offer: it would sort the whole table."""
        words = self.params.pop(ORDER_VAR, "").split(".")
        if offered := [word for word in words if self._is_offered(word)]:
            self.params[ORDER_VAR] = ".".join(offered)
        return list(super().get_ordering(request, queryset))

    def _is_offered(self, word: str) -> bool:
        try:
            return self.list_display[int(word.rpartition("-")[2])] in (self.sortable_by or ())
        except (IndexError, ValueError):
            return False


def narrows(model: type[Model], lookup: str, value: str, *, shown: Iterable[str]) -> bool:
    """Tell whether a list may be narrowed by a lookup of its address. Not by a secret, unless it is
    *shown*: that could be guessed, letter by letter, from whether a row is still there."""
    secret = _SECRET.difference(shown)
    return not secret.intersection(lookup.split("__")) and _compares(model, lookup, value)


def _compares(model: type[Model] | None, lookup: str, value: str) -> bool:
    """Tell whether a column is compared as it is, with what every database has; of what is no
    column a filter may know."""
    field: Any = None
    *words, last = lookup.split("__")
    if last not in _COMPARISONS:
        words.append(last)
    for place, word in enumerate(words):
        if model is None:
            return False
        try:
            field = model._meta.pk if word == "pk" else model._meta.get_field(word)
        except FieldDoesNotExist:
            return place == 0
        model = field.related_model
    return not isinstance(field, FloatField) or all(map(_is_finite, value.split(",")))


def _is_finite(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:  # as the admin will say
        return True
