"""Zips, looked at before anything unpacks them. Only their directory is read."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from .errors import FileRefused
from .task import Limits

_MOST_MEMBERS = 10_000
_MOST_RATIO = 100  # text compresses to a tenth, seldom to a fiftieth
_HARMLESS = 10 * 1024 * 1024  # bytes unpacked, below which the ratio says nothing


def check_zip(path: Path, limits: Limits) -> None:
    """Raise FileRefused for what unpacks to too much, or into many files, or is no whole zip."""
    with _opened(path) as archive:
        members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise FileRefused(f"a zip of more than {_MOST_MEMBERS} files")
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.unpacked:
        raise FileRefused(f"a zip that unpacks to more than {limits.unpacked} bytes")
    # Of the file's own size: the members' sizes may count the same bytes several times.
    if unpacked > _HARMLESS and unpacked > _MOST_RATIO * path.stat().st_size:
        raise FileRefused(f"a zip that unpacks to more than {_MOST_RATIO} times its size")


def member_names(path: Path) -> set[str]:
    """Return the names of all members."""
    with _opened(path) as archive:
        return set(archive.namelist())


def opendocument_type(path: Path) -> str:
    """Return what an OpenDocument file says that it is, empty for another zip."""
    with _opened(path) as archive:
        first = archive.infolist()[:1]
        if not first or first[0].filename != "mimetype" or first[0].compress_type != ZIP_STORED:
            return ""
        with archive.open(first[0]) as member:
            return member.read(100).decode("ascii", "replace").strip()


def _opened(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except (BadZipFile, ValueError, NotImplementedError):
        raise FileRefused("a zip that is damaged") from None
