"""How lists are counted and cut into pages: at the same cost with a million rows as with ten."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator

# Only the stubs' Paginator takes a parameter.
if TYPE_CHECKING:
    Rows = Paginator[Any]
else:
    Rows = Paginator

MOST = 10_000  # rows that can be paged through: to find one among more, a list is narrowed


class CappedPaginator(Rows):
    """Counts to MOST and no further."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, or MOST. A list that knows it has noted it at them."""
        rows: Any = self.object_list
        known: int | None = getattr(rows, "known_count", None)
        if known is not None:
            return min(known, MOST)
        # Of the keys alone: columns that are made for the list would be read, too.
        found: int = rows.order_by().values("pk")[:MOST].count()
        return found

    @property
    def is_cut(self) -> bool:
        """Tell whether there may be more rows than pages."""
        return self.count >= MOST
