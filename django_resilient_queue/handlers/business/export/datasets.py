"""What may be exported: querysets under a name, found in each app's ``export_datasets.py``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from ...catalogue import NAME, Catalogue, place

MODULE = "export_datasets"

Rows = QuerySet[Any, Any]
Source = Callable[[Any, Mapping[str, Any]], Rows]  # of the user who asks, and the filters
Subject = str | Callable[[Rows, Any], Rows]
S = TypeVar("S", bound=Source)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What `export_dataset` was given. ``columns``: what stands over each, and its field."""

    name: str
    source: Source
    permission: str
    columns: Mapping[str, str]
    filters: type[Any] | None = None
    subject: Subject | None = None
    order_by: str = "pk"

    @property
    def function(self) -> Source:
        """What is registered."""
        return self.source

    def rows(self, user: Any, filters: Mapping[str, Any]) -> Rows:
        """Return what a user may export, filtered. Raises ImproperlyConfigured."""
        rows = self.source(user, filters)
        if not isinstance(rows, QuerySet):
            raise ImproperlyConfigured(
                f"the dataset {self.name!r} must return a queryset, not {type(rows).__name__}"
            )
        return rows

    def of_subject(self, rows: Rows, subject: Any) -> Rows:
        """Return those of the rows that are about one user."""
        if callable(self.subject):
            return self.subject(rows, subject)
        return rows.filter(**{str(self.subject): subject.pk})


class Datasets(Catalogue[Dataset]):
    """Datasets by name."""

    def __init__(self) -> None:
        super().__init__("export dataset", MODULE)

    def add(self, entry: Dataset) -> None:
        """Take one in. Raises ImproperlyConfigured."""
        for problem in _problems(entry):
            raise ImproperlyConfigured(f"export dataset {entry.name!r}: {problem}")
        if other := self.twin(entry):
            raise ImproperlyConfigured(
                f"two export datasets have the name {entry.name!r}:"
                f" {place(other)} and {place(entry)}"
            )
        self._found[entry.name] = entry


datasets = Datasets()


def export_dataset(
    name: str,
    *,
    permission: str,
    columns: Sequence[str] | Mapping[str, str],
    filters: type[Any] | None = None,
    subject: Subject | None = None,
    order_by: str = "pk",
) -> Callable[[S], S]:
    """Register a function of the user who asks and the filters (a dict) that returns a queryset.

    *permission* as in ``"shop.view_order"``. *columns* names fields of the queryset, annotations
    included, or says what stands over each: nothing else leaves. *filters* is a serializer class.
    *subject* says which rows are about a user, for an export of their personal data: the path to
    that user, or a function of queryset and user; whoever asks for their own data needs no
    permission. *order_by* is a unique field without nulls. Raises ImproperlyConfigured.
    """
    by_head = columns if isinstance(columns, Mapping) else {each: each for each in columns}

    def register(function: S) -> S:
        datasets.add(
            Dataset(
                name=name,
                source=function,
                permission=permission,
                columns=MappingProxyType(dict(by_head)),
                filters=filters,
                subject=subject,
                order_by=order_by,
            )
        )
        return function

    return register


def _problems(dataset: Dataset) -> Iterator[str]:
    if not NAME.fullmatch(dataset.name):
        yield "its name must be of a-z, 0-9, _ and -, as in 'orders'"
    if not re.fullmatch(r"\w+\.\w+", str(dataset.permission)):
        yield f"permission must be as in 'shop.view_order', not {dataset.permission!r}"
    names: list[object] = [*dataset.columns, *dataset.columns.values()]
    if not names or not all(isinstance(name, str) and name for name in names):
        yield "columns must name fields, at least one"
    try:
        inspect.signature(dataset.source).bind(object(), {})
    except TypeError:
        yield "it must take two arguments, the user and the filters"
