"""What a list in the admin lets itself be asked, by its own links or by hand."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

_LONGEST = 10_000  # characters of one value


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
