"""Rows of a queryset a page at a time, by a unique key: constant memory, no cursor held open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Field

from .datasets import Rows

PAGE = 500
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the key of the last as text, after which the next page begins."""

    rows: list[Row]
    last: str


class Pages:
    """All rows of a queryset in the order of a key. What is inserted behind the key that was
    reached is seen, what is inserted before it is not."""

    def __init__(self, rows: Rows, columns: Mapping[str, str], order_by: str) -> None:
        if rows.query.is_sliced or rows.query.combinator:
            # Neither can be filtered, which every page after the first takes.
            raise ImproperlyConfigured("a dataset must neither slice nor combine its queryset")
        self.heads = list(columns)
        self._key = _unique_field(rows, order_by)
        self._name = order_by
        self._rows = rows.order_by(order_by).values_list(order_by, *columns.values())

    def count(self) -> int:
        """How many there are now."""
        return self._rows.order_by().count()

    def after(self, last: str | None = None) -> Iterator[Page]:
        """Yield page after page, behind the key *last*."""
        key = None if last is None else self._key.to_python(last)
        while True:
            rows = self._rows if key is None else self._rows.filter(**{f"{self._name}__gt": key})
            found = list(rows[: PAGE + 1])
            self._refuse_doubles(found)
            if not found:
                return
            key = found[:PAGE][-1][0]
            yield Page([row[1:] for row in found[:PAGE]], _text(key))
            if len(found) <= PAGE:
                return

    def _refuse_doubles(self, found: list[Row]) -> None:
        # A join to many rows repeats the key, and the end of a page would cut some of them off.
        for one, next_one in pairwise(found):
            if one[0] == next_one[0]:
                raise ImproperlyConfigured(
                    f"a dataset has several rows of one {self._name}: a column or filter of it"
                    " goes to many rows; use an annotation or distinct()"
                )


def _text(key: Any) -> str:
    """Return a key in the form that its field reads; JSON for one of several columns."""
    return json.dumps([str(part) for part in key]) if isinstance(key, tuple) else str(key)


def _unique_field(rows: Rows, name: str) -> Field[Any, Any]:
    options = rows.model._meta
    try:
        found = options.pk if name == "pk" else options.get_field(name)
    except FieldDoesNotExist:
        found = None
    if not isinstance(found, Field) or not found.unique or found.null:
        raise ImproperlyConfigured(
            f"a dataset is ordered by a field that is unique and never null; {name!r} of"
            f" {options.label} is not"
        )
    return found
