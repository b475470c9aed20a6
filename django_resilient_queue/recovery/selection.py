"""Which dead letters are meant: by their ids, or by what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self, TypeVar

from django.db.models import Q, QuerySet

Rows = TypeVar("Rows", bound=QuerySet[Any])
KINDS = ("handler", "queue_name", "reason", "category", "error_class", "fingerprint")
"""The criteria that are words of a letter's own."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters that fit all that is given; with nothing given, every letter.

    *since* and *until* limit when they died, *priority* is that of their queue.
    """

    ids: tuple[int, ...] = ()
    handler: str = ""
    queue_name: str = ""
    reason: str = ""
    category: str = ""
    error_class: str = ""
    fingerprint: str = ""
    priority: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_of_kinds(self) -> bool:
        """Tell whether it asks for nothing that the tally of letters does not know."""
        return not self.ids and self.since is None and self.until is None

    def among(self, letters: Rows) -> Rows:
        """Return those of *letters* that are meant, or of the tally's rows if `is_of_kinds`."""
        return letters.filter(self._condition())

    def as_json(self) -> dict[str, Any]:
        """Return what is given, as JSON values."""
        given = {name: value for name, value in asdict(self).items() if value not in ((), "", None)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in given.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote. Raises ValueError for what is no selection."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"no such criterion: {unknown[0]!r}; there are {sorted(known)}")
        values = dict(data)
        if "ids" in values:
            values["ids"] = tuple(values["ids"])
        for name in ("since", "until"):
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)

    def _condition(self) -> Q:
        condition = Q()
        if self.ids:
            condition &= Q(pk__in=self.ids)
        for name in KINDS:
            if value := getattr(self, name):
                condition &= Q(**{name: value})
        if self.priority is not None:
            condition &= Q(priority=self.priority)
        if self.since is not None:
            condition &= Q(died_at__gte=self.since)
        if self.until is not None:
            condition &= Q(died_at__lt=self.until)
        return condition
