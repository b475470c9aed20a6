"""json: one array with an object for each row, a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..cells import plain
from ..pages import Row
from .appending import AppendedFile


def limit() -> int | None:
    """Any number of rows."""
    return None


class Writer:
    """Writes json."""

    def __init__(self, path: Path, heads: Sequence[str], title: str, *, rows: int, at: int) -> None:
        self._heads = heads
        self._file = AppendedFile(path, at=at)
        self._separator = ",\n" if rows else "\n"
        if not at:
            self._file.append("[")

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        for row in rows:
            cells = dict(zip(self._heads, map(plain, row), strict=True))
            line = json.dumps(cells, ensure_ascii=False, allow_nan=False)
            self._file.append(f"{self._separator}{line}")
            self._separator = ",\n"

    def position(self) -> int:
        """Return how far it can be relied on."""
        return self._file.synced()

    def finish(self, total: int) -> None:
        """Close the array."""
        self._file.append("\n]\n")
        self._file.synced()

    def discard(self) -> None:
        """Let go of the file."""
        self._file.close()
