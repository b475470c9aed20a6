"""Folders that a job works in: private to this user, locked by the run that has one, and swept when
that run is dead."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_PRIVATE = 0o700
_LOCK = "lock"


def shared(name: str) -> Path:
    """Return where folders of this user lie that nobody has chosen a place for."""
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"


def private(base: Path, remedy: str) -> Path:
    """Return a folder that is ours, made if need be. In a place that others write to, theirs could
    have been laid there to read our data: ImproperlyConfigured, with the *remedy*."""
    base.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ImproperlyConfigured(
            f"{base} must be a folder that belongs to the worker's user and that no other may write"
            f" to; {remedy}"
        )
    return base


def locked(folder: Path) -> int | None:
    """Return the open lock of a folder, which is made if need be; None when another run has it. The
    kernel lets go of a lock whose process is killed."""
    while True:
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # swept in between
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if _is_there(folder, lock):
            return lock
        os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder that this run has locked."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_idle(folder: Path) -> None:
    """Remove a folder unless a run has it."""
    lock = locked(folder)
    if lock is not None:
        remove(folder)
        os.close(lock)


def remove_left_over(base: Path, older_than: float) -> None:
    """Remove folders that no run has and that nobody has written to for so many seconds."""
    limit = time.time() - older_than
    for folder in base.iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime <= limit:
                remove_idle(folder)


def _is_there(folder: Path, lock: int) -> bool:
    """Whether nobody has removed the folder between the opening of its lock and the locking."""
    try:
        return os.path.samestat(os.fstat(lock), (folder / _LOCK).stat())
    except FileNotFoundError:
        return False
