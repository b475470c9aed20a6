"""xlsx by XlsxWriter, in constant memory. Texts are texts, whatever they begin with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from ..cells import is_formula_like, local, text
from ..pages import Row

_ROWS_OF_A_SHEET = 1_048_576  # of Excel, the head included
_LONGEST_CELL = 32_767  # characters, as Excel counts: in UTF-16
_DIGITS = 15  # that a number of Excel has: longer ones are texts
_LARGEST = 999_999_999_999_999
_FIRST_YEAR = 1901  # before, Excel counts days wrongly or not at all
_CUT = " […]"


def limit() -> int | None:
    """Any number of rows: there may be several sheets."""
    return None


class Writer:
    """Writes xlsx, a sheet for each million of rows; it can't be gone on with."""

    def __init__(self, path: Path, heads: Sequence[str], title: str, *, rows: int, at: int) -> None:
        options = {"constant_memory": True, "tmpdir": str(path.parent), "default_date_format": ""}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._heads = heads
        self._shapes = {
            kind: self._book.add_format({"num_format": shape})
            for kind, shape in (
                (datetime, "yyyy-mm-dd hh:mm:ss"),
                (date, "yyyy-mm-dd"),
                (time, "hh:mm:ss"),
            )
        }
        self._bold = self._book.add_format({"bold": True})
        # So that it stays a text also when somebody edits the cell.
        self._quoted = self._book.add_format({"quote_prefix": True})
        self._add_sheet()

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        for row in rows:
            if self._next == _ROWS_OF_A_SHEET:
                self._add_sheet()
            for column, value in enumerate(row):
                self._write_cell(column, value)
            self._next += 1

    def position(self) -> int:
        """It can't be gone on with."""
        return 0

    def finish(self, total: int) -> None:
        """Pack the file."""
        self._book.close()

    def discard(self) -> None:
        """Close what XlsxWriter has open beside the file, which it closes only with a whole one."""
        self._book.fileclosed = True
        for sheet in self._book.worksheets():
            if sheet.row_data_fh is not None:
                sheet.row_data_fh.close()

    def _add_sheet(self) -> None:
        self._sheet = self._book.add_worksheet()
        self._sheet.freeze_panes(1, 0)
        for column, head in enumerate(self._heads):
            self._sheet.write_string(0, column, _fitting(head), self._bold)
        self._next = 1

    def _write_cell(self, column: int, value: Any) -> None:
        place = (self._next, column)
        if value is None:
            return
        if isinstance(value, bool):
            self._sheet.write_boolean(*place, value)
        elif isinstance(value, int | float | Decimal) and _is_exact(value):
            self._sheet.write_number(*place, value)
        elif isinstance(value, datetime) and value.year >= _FIRST_YEAR:
            naive = local(value).replace(tzinfo=None)
            self._sheet.write_datetime(*place, naive, self._shapes[datetime])
        elif isinstance(value, date) and value.year >= _FIRST_YEAR:
            self._sheet.write_datetime(*place, value, self._shapes[date])
        elif isinstance(value, time) and value.tzinfo is None:
            self._sheet.write_datetime(*place, value, self._shapes[time])
        else:
            self._write_text(place, text(value))

    def _write_text(self, place: tuple[int, int], words: str) -> None:
        shape = self._quoted if is_formula_like(words) else None
        self._sheet.write_string(*place, _fitting(words), shape)


def _is_exact(number: int | float | Decimal) -> bool:
    """Whether Excel keeps every digit."""
    if isinstance(number, Decimal):
        return number.is_finite() and len(number.normalize().as_tuple().digits) <= _DIGITS
    if isinstance(number, int):
        return -_LARGEST <= number <= _LARGEST
    return math.isfinite(number)


def _fitting(words: str) -> str:
    """XlsxWriter leaves out what is too long: cut it, and say so. Half a character, as values of
    JSON may hold, is none of a file."""
    units = words.encode("utf-16-le", "replace")
    if len(units) <= _LONGEST_CELL * 2:
        return units.decode("utf-16-le")
    room = _LONGEST_CELL - len(_CUT)
    return units[: room * 2].decode("utf-16-le", "ignore") + _CUT
