"""The kinds of files: one module each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from ..pages import Row


class Writer(Protocol):
    """Writes one file. Made with a path, the heads of the columns, a title, how many rows the
    file has by now, and after how many bytes it is to be gone on with (0: from the start)."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""

    def position(self) -> int:
        """Return after how many bytes, which are on the disk, another run may go on; 0: nowhere."""

    def finish(self, total: int) -> None:
        """End the file, which has all it can have of so many rows."""

    def discard(self) -> None:
        """Let go of the file, finished or not; it may be called twice."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file, by the name that payloads have for it, which is its extension as well."""

    name: str
    content_type: str
    module: str
    requires: str = ""  # a module, that comes with the extra of the format's name

    @property
    def is_there(self) -> bool:
        """Whether what it needs is installed."""
        return not self.requires or find_spec(self.requires) is not None

    def limit(self) -> int | None:
        """Return how many rows such a file may have, None for any number."""
        found: int | None = self._module().limit()
        return found

    def open(self, path: Path, heads: Sequence[str], title: str, *, rows: int, at: int) -> Writer:
        """Begin a file, or go on with one."""
        return cast(Writer, self._module().Writer(path, heads, title, rows=rows, at=at))

    def _module(self) -> Any:
        # Not before it is wanted: what some of them need may not be installed.
        return import_module(f"{__name__}.{self.module}")


_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ZIP = Format("zip", "application/zip", "")

FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format("csv", "text/csv; charset=utf-8", "comma_separated"),
        Format("json", "application/json", "json_array"),
        Format("xlsx", _XLSX, "workbook", "xlsxwriter"),
        Format("pdf", "application/pdf", "document", "reportlab"),
    )
}
