"""The storages and folders that FILE_STORAGES allows: which paths are in them, copies of files from
there, and files put there. Nothing in a storage is ever opened for writing or replaced by another
content."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from django.core.files.storage import Storage, storages

from ....conf import settings
from ....setting.folders import FilePlace
from .errors import FileRefused

LONGEST_PATH = 500
_CHUNK = 256 * 1024
# A path that leads to nothing, nor will it: a part that is no folder, a link to itself, a name that
# is too long.
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class Copied:
    """What is known of a file from copying it."""

    size: int
    sha256: str


def path_problem(path: str) -> str:
    """Say what is wrong with a path wherever it may lead, empty for nothing."""
    if len(path) > LONGEST_PATH:
        return f"At most {LONGEST_PATH} characters."
    if _CONTROL.search(path):
        return "Neither backslashes nor control characters."
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "Relative to the storage, not absolute."
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "Neither '..' nor '.' nor an empty part."
    return ""


def readable_prefix(place: FilePlace, path: str) -> str | None:
    """Return the folder, of those that may be read, that a path lies in."""
    for prefix in place.read:
        if prefix == "" or path.startswith(f"{prefix.rstrip('/')}/"):
            return prefix
    return None


def copy(alias: str, path: str, target: Path) -> Copied:
    """Copy a file out of a storage. Raises FileRefused, and what the storage raises."""
    storage, prefix = _readable(alias, path)
    real = _real(storage, prefix, path)
    limit = settings.FILE_SIZE_LIMIT
    size, digest = 0, hashlib.sha256()
    with _looking():
        opened = storage.open(path, "rb")
    with opened as source, target.open("wb") as file:
        if real is not None and not _is_still(real, _real(storage, prefix, path), source):
            raise FileRefused("the file was replaced while it was opened")
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise FileRefused(f"more than {limit} bytes")
            digest.update(chunk)
            file.write(chunk)
    return Copied(size, digest.hexdigest())


def put(alias: str, folder: str, name: str, source: Path) -> str:
    """Save a file in the folder that the storage may be written to; return its path there.

    One that an earlier attempt at the same has left goes first. Raises FileRefused, and what the
    storage raises.
    """
    storage, prefix = _writable(alias)
    path = f"{prefix}/{folder}/{name}"
    _check_folder(storage, prefix, path)
    if storage.exists(path):
        storage.delete(path)
    # Not through a link: what was decoded is hostile, and so may be what decoded it.
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return str(storage.save(path, File(file, name=name)))


def remove(alias: str, paths: list[str]) -> None:
    """Delete what `put` has saved."""
    for path in paths:
        storages[alias].delete(path)


def _readable(alias: str, path: str) -> tuple[Storage, str]:
    """Checked again when the job runs: the settings may have changed since it was enqueued."""
    place = settings.FILE_STORAGES.get(alias)
    prefix = None if place is None or path_problem(path) else readable_prefix(place, path)
    if prefix is None:
        raise FileRefused("the path is in no folder that FILE_STORAGES allows to be read")
    return storages[alias], prefix


def _writable(alias: str) -> tuple[Storage, str]:
    place = settings.FILE_STORAGES.get(alias)
    if place is None or not place.write:
        raise FileRefused("the storage has no folder that FILE_STORAGES allows to be written to")
    return storages[alias], place.write.rstrip("/")


def _real(storage: Storage, prefix: str, path: str) -> str | None:
    """Return where a path leads in the end, None where the storage is no folder of this machine.

    Raises FileRefused when that is outside of the prefix, or no regular file.
    """
    try:
        root, full = os.path.realpath(storage.path(prefix)), storage.path(path)
    except NotImplementedError:
        return None
    real = os.path.realpath(full)
    if not _is_inside(real, root):
        raise FileRefused("the path leads out of its folder, by a symbolic link")
    with _looking():
        if not stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116 - a pipe would block
            raise FileRefused("not a regular file")
    return real


@contextmanager
def _looking() -> Iterator[None]:
    """Tell a path that leads to no file, FileRefused, from a storage that is in trouble."""
    try:
        yield
    except OSError as error:
        # Storages of other kinds raise it without a number.
        if isinstance(error, FileNotFoundError) or error.errno in _NO_FILE:
            raise FileRefused("no such file") from None
        raise


def _is_still(before: str, after: str | None, source: File[bytes]) -> bool:
    if before != after:
        return False
    try:
        opened = os.fstat(source.fileno())
    except (AttributeError, OSError, ValueError):
        return True  # a storage that keeps its files in a form of its own
    return os.path.samestat(opened, os.stat(before))  # noqa: PTH116


def _check_folder(storage: Storage, prefix: str, path: str) -> None:
    try:
        root, full = os.path.realpath(storage.path(prefix)), storage.path(path)
    except NotImplementedError:
        return
    if not _is_inside(os.path.realpath(full), root):
        raise FileRefused("the folder for outputs leads out of it, by a symbolic link")


def _is_inside(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
