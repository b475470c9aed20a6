"""pdf by reportlab: a table with its head on every page, drawn a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import reportlab
from django.utils import timezone
from django.utils.translation import gettext as _
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from .....conf import settings
from ..cells import text
from ..pages import Row

_SIZE, _LEADING, _MARGIN, _GAP = 7.0, 9.0, 36.0, 4.0  # points
_PORTRAIT_COLUMNS = 5
_LONGEST_CELL = 1000  # characters
_MOST_LINES = 20  # of one cell
_SAMPLE = 200  # rows that the widths of the columns are taken from
_NARROWEST, _WIDEST = 5, 40  # characters that a column counts for
_UNKNOWN = "?"  # for a letter that the font has not
_SYSTEM_FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def limit() -> int | None:
    """As many rows as the project allows."""
    return settings.EXPORT_PDF_ROWS


class Writer:
    """Writes pdf; it can't be gone on with."""

    def __init__(self, path: Path, heads: Sequence[str], title: str, *, rows: int, at: int) -> None:
        self._page = A4 if len(heads) <= _PORTRAIT_COLUMNS else landscape(A4)
        self._canvas = Canvas(str(path), pagesize=self._page, pageCompression=1)
        self._canvas.setTitle(title)
        self._font = _font()
        self._heads = [self._shown(head) for head in heads]
        self._widths: list[float] = []
        self._rows = 0
        self._title = title
        self._top = 0.0  # where the next line goes

    def write(self, rows: Sequence[Row]) -> None:
        """Draw some rows."""
        words = [[self._shown(text(cell)) for cell in row] for row in rows]
        self._begin(words)
        for row, shown in zip(rows, words, strict=True):
            self._draw(shown, [isinstance(x, int | float | Decimal) for x in row])
        self._rows += len(rows)

    def position(self) -> int:
        """It can't be gone on with."""
        return 0

    def finish(self, total: int) -> None:
        """Say how many rows it shows, of how many, and write the file."""
        self._begin([])
        if total > self._rows:
            words = _("Only the first %(shown)d of %(total)d rows are shown.")
        else:
            words = _("%(total)d rows.")
        self._need(2 * _LEADING)
        self._top -= _LEADING
        self._line(_MARGIN, self._shown(words % {"shown": self._rows, "total": total}))
        self._canvas.showPage()
        self._canvas.save()

    def discard(self) -> None:
        """Nothing is open: the file is written at the end."""

    def _begin(self, sample: list[list[str]]) -> None:
        if self._widths:
            return
        room = self._page[0] - 2 * _MARGIN
        columns = zip(self._heads, *sample[:_SAMPLE], strict=True)
        longest = [max(len(word) for word in column) for column in columns]
        shares = [min(max(length, _NARROWEST), _WIDEST) for length in longest]
        self._widths = [room * share / sum(shares) for share in shares]
        self._new_page()

    def _new_page(self) -> None:
        self._top = self._page[1] - _MARGIN
        made = f"{timezone.localtime():%Y-%m-%d %H:%M}"
        number = self._canvas.getPageNumber()
        self._line(_MARGIN, self._shown(f"{self._title} · {made} · {number}"))
        self._top -= _LEADING / 2
        self._draw(self._heads, [False] * len(self._heads))
        self._canvas.line(_MARGIN, self._top + 3, self._page[0] - _MARGIN, self._top + 3)

    def _draw(self, words: list[str], to_the_right: list[bool]) -> None:
        cells = [self._wrapped(w, width) for w, width in zip(words, self._widths, strict=True)]
        height = max(len(cell) for cell in cells) * _LEADING
        self._need(height)
        top, left = self._top, _MARGIN
        for cell, width, is_number in zip(cells, self._widths, to_the_right, strict=True):
            self._top = top
            for line in cell:
                self._line(left, line, right=left + width - _GAP if is_number else None)
            left += width
        self._top = top - height

    def _wrapped(self, words: str, width: float) -> list[str]:
        room = width - _GAP
        split = simpleSplit(words, self._font.fontName, _SIZE, room) or [""]
        lines = [piece for line in split for piece in self._pieces(line, room)]
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], "[…]"]
        return lines

    def _pieces(self, line: str, room: float) -> Iterator[str]:
        """A word that is wider than its column is cut wherever it ends."""
        while line and self._font.stringWidth(line, _SIZE) > room:
            fits = 1
            while self._font.stringWidth(line[: fits + 1], _SIZE) <= room:
                fits += 1
            yield line[:fits]
            line = line[fits:]
        yield line

    def _need(self, height: float) -> None:
        if self._top - height < _MARGIN:
            self._canvas.showPage()
            self._new_page()

    def _line(self, left: float, words: str, *, right: float | None = None) -> None:
        self._top -= _LEADING
        self._canvas.setFont(self._font.fontName, _SIZE)
        if right is None:
            self._canvas.drawString(left, self._top, words)
        else:
            self._canvas.drawRightString(right, self._top, words)

    def _shown(self, words: str) -> str:
        if len(words) > _LONGEST_CELL:
            words = f"{words[: _LONGEST_CELL - 4]} […]"
        glyphs = self._font.face.charToGlyph
        return "".join(c if ord(c) in glyphs or c == "\n" else _UNKNOWN for c in words)


def _font() -> TTFont:
    chosen = Path(settings.EXPORT_PDF_FONT or _SYSTEM_FONT)
    if not settings.EXPORT_PDF_FONT and not chosen.exists():
        chosen = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    font = TTFont(f"export-{chosen.stem}", str(chosen))
    registerFont(font)
    return font
