"""What went in one task, or would go: counts, bytes and the first names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_NAMES = 50
_LONGEST_NAME = 200


@dataclass(slots=True)
class TaskReport:
    """Of one task. ``has_more``: it stopped at its limit; ``error``: it broke off."""

    count: int = 0
    size: int = 0  # bytes
    names: list[str] = field(default_factory=list)
    failed: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)
    has_more: bool = False
    error: str = ""

    def add(self, count: int, size: int, names: Iterable[str]) -> None:
        """Count what went."""
        self.count += count
        self.size += size
        self._list(names)

    def fail(self, count: int, names: Iterable[str], words: str) -> None:
        """Count what stayed although it was to go."""
        self.failed += count
        if len(self.errors) < MOST_NAMES:
            self.errors.append({"name": ", ".join(map(_short, list(names)[:3])), "error": words})

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> TaskReport:
        """Go on with what went in an earlier attempt; what stayed is looked at again. Raises
        TypeError for other values."""
        return cls(**{**values, "failed": 0, "errors": [], "has_more": False, "error": ""})

    def _list(self, names: Iterable[str]) -> None:
        room = MOST_NAMES - len(self.names)
        if room > 0:
            self.names += [_short(name) for name in list(names)[:room]]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
