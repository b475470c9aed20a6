"""What a file is, by its bytes: its name is the client's claim, and is never looked at."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from .errors import FileRefused
from .formats import DOCX, KINDS, OFFICE, OFFICE_EXTENSIONS, OTHER, ZIP
from .task import Limits
from .zips import check_zip, member_names, opendocument_type

# What libmagic says of the old Office formats when it can't see which one.
_COMPOUND = {"application/cdfv2", "application/x-ole-storage"}
_BY_PART = {
    "word/document.xml": DOCX,
    "xl/workbook.xml": DOCX.replace("wordprocessingml.document", "spreadsheetml.sheet"),
    "ppt/presentation.xml": DOCX.replace(
        "wordprocessingml.document", "presentationml.presentation"
    ),
}
_ZIP_MARK = b"PK\x03\x04"


def content_type_of(path: Path, limits: Limits) -> str:
    """Return a MIME type. Raises FileRefused for a zip that would unpack to too much."""
    # Its wheel carries the library that `magic` binds to, for systems that have none.
    with suppress(ImportError):
        import pylibmagic  # noqa: F401
    import magic

    found = magic.from_file(str(path), mime=True).lower()
    if _is_zip(path):
        check_zip(path, limits)
        return _inside_zip(path, found)
    if found in _COMPOUND:
        return "application/msword"
    return "text/rtf" if found == "application/rtf" else found


def kind_of(content_type: str) -> str:
    """Return which module can do something with it, `OTHER` for none."""
    return KINDS.get(content_type, OTHER)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ZIP_MARK


def _inside_zip(path: Path, found: str) -> str:
    """Office files are zips, and which one is said by their parts in any order."""
    declared = opendocument_type(path)
    if declared in OFFICE_EXTENSIONS:
        return declared
    names = member_names(path)
    for part, content_type in _BY_PART.items():
        if part in names:
            return content_type
    # Named so by libmagic from the first parts, yet without the part that counts.
    if kind_of(found) == OFFICE:
        raise FileRefused("the document lacks its main part")
    return found if found != "application/octet-stream" else ZIP
