"""csv as RFC 4180 has it: UTF-8, commas, lines that end in CR LF."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ..cells import guarded
from ..pages import Row
from .appending import AppendedFile


def limit() -> int | None:
    """Any number of rows."""
    return None


class Writer:
    """Writes csv."""

    def __init__(self, path: Path, heads: Sequence[str], title: str, *, rows: int, at: int) -> None:
        self._file = AppendedFile(path, at=at)
        if not at:
            self._append([heads])

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._append(rows)

    def position(self) -> int:
        """Return how far it can be relied on."""
        return self._file.synced()

    def finish(self, total: int) -> None:
        """Nothing stands at the end."""
        self._file.synced()

    def discard(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _append(self, rows: Iterable[Sequence[Any]]) -> None:
        page = StringIO(newline="")
        csv.writer(page).writerows([guarded(cell) for cell in row] for row in rows)
        self._file.append(page.getvalue())
