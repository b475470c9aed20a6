"""PDF files, by pdfium: their text, and pictures of their pages. Scripts in them are not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdfium2

from . import images
from .desk import Desk, decoding
from .errors import FileRefused
from .task import Limits, Operation, Output

_POINTS = 72  # a PDF's units to the inch
_WHAT = "the PDF"
_THUMBNAIL_DPI = 96


def inspect(path: Path, content_type: str, limits: Limits) -> dict[str, Any]:
    """Return the number of pages, and the first one's size in points."""
    with decoding(_WHAT), _opened(path) as document:
        width, height = document.get_page_size(0)
        return {"pages": len(document), "width": round(width), "height": round(height)}


def perform(path: Path, content_type: str, operation: Operation, desk: Desk) -> list[Output]:
    """Make a text, or a picture of each page."""
    with decoding(_WHAT), _opened(path) as document:
        if operation["operation"] == "thumbnail":
            page = _existing(document, operation["page"])
            return [_picture(document, page, _THUMBNAIL_DPI, operation, desk)]
        pages = _pages(document, operation, desk.limits)
        if operation["format"] == "txt":
            return [_text(document, pages, operation, desk)]
        return [_picture(document, page, operation["dpi"], operation, desk) for page in pages]


@contextmanager
def _opened(path: Path) -> Iterator[pypdfium2.PdfDocument]:
    document = pypdfium2.PdfDocument(path)
    try:
        if not len(document):
            raise FileRefused("a PDF without pages")
        yield document
    finally:
        document.close()


def _pages(document: pypdfium2.PdfDocument, operation: Operation, limits: Limits) -> range:
    """Return the pages wanted; like the client's, they count from 1."""
    first = _existing(document, operation.get("first_page") or 1)
    last = _existing(document, operation.get("last_page") or len(document))
    if last - first + 1 > limits.pages:
        raise FileRefused(
            f"more than {limits.pages} pages at once: choose some by first_page and last_page"
        )
    return range(first, last + 1)


def _existing(document: pypdfium2.PdfDocument, page: int) -> int:
    if page > len(document):
        raise FileRefused(f"no page {page}: the document has {len(document)}")
    return page


def _text(
    document: pypdfium2.PdfDocument, pages: range, operation: Operation, desk: Desk
) -> Output:
    path = desk.new("txt")
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for number in pages:
            page = document[number - 1]
            text = page.get_textpage().get_text_bounded()
            file.write(text.replace("\r\n", "\n") + "\n\f\n" * (number < pages[-1]))
            page.close()
    return desk.finished(path, operation, "txt", pages=len(pages))


def _picture(
    document: pypdfium2.PdfDocument, number: int, dpi: int, operation: Operation, desk: Desk
) -> Output:
    page = document[number - 1]
    scale = dpi / _POINTS
    width, height = page.get_size()
    if width * height * scale**2 > desk.limits.pixels:
        raise FileRefused(f"page {number} has more than {desk.limits.pixels} pixels at {dpi} dpi")
    picture = page.render(scale=scale).to_pil()
    page.close()
    output = images.save(picture, operation, operation["format"], desk)
    output.details["page"] = number
    return output
