"""Where a worker writes exports before they are whole, and how far it has come with each."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from ....conf import settings

_PRIVATE = 0o700
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """After so many rows and bytes of a file comes the row behind the key *last*; *plan* says what
    the file was to be, in a form that can be compared."""

    plan: str
    rows: int = 0
    size: int = 0
    last: str | None = None
    is_whole: bool = False


class Draft:
    """One file in the making."""

    def __init__(self, path: Path, plan: str) -> None:
        self.path = path
        self.plan = plan
        self._mark = path.with_name(f"{path.name}.checkpoint")

    def checkpoint(self) -> Checkpoint:
        """Return how far it is; at its beginning where nothing can be relied on."""
        try:
            found = Checkpoint(**json.loads(self._mark.read_text()))
            if found.plan == self.plan and self.path.stat().st_size >= found.size:
                return found
        except (OSError, ValueError, TypeError):
            pass
        return Checkpoint(self.plan)

    def mark(self, checkpoint: Checkpoint) -> None:
        """Note how far it is; all of it is on the disk by then."""
        draft = self._mark.with_suffix(".new")
        draft.write_text(json.dumps(asdict(checkpoint)))
        draft.replace(self._mark)


@contextmanager
def folder_for(token: str, run: str) -> Iterator[Path]:
    """Give a folder to a run: the one that an earlier run of this export has left, if it is on this
    machine and dead, else a new one."""
    base = _base()
    folder, lock = base / token, None
    try:
        lock = _locked(folder)
        if lock is None:  # the earlier run still breathes: nothing of its own may be touched
            folder = base / f"{token}.{run}"
            lock = _locked(folder)
        yield folder
    finally:
        if lock is not None:
            os.close(lock)


def remove(folder: Path) -> None:
    """Remove the folder of an export."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_of(token: str) -> None:
    """Remove what this machine has of an export that is over."""
    for folder in _base().glob(f"{token}*"):
        _remove_idle(folder)


def sweep(older_than: float) -> None:
    """Remove folders that no run has and that nobody has written to for so many seconds."""
    limit = time.time() - older_than
    for folder in _base().iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime < limit:
                _remove_idle(folder)


def _base() -> Path:
    """Return the spool. In a folder that others write to it must be ours: theirs could have been
    laid there to read our data."""
    chosen = settings.EXPORT_SPOOL
    base = Path(chosen or Path(tempfile.gettempdir()) / f"drq-exports-{os.getuid()}")
    base.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ImproperlyConfigured(
            f"{base} must be a folder that belongs to the worker's user and that no other may write"
            " to; RESILIENT_QUEUE['EXPORT_SPOOL'] names another"
        )
    return base


def _locked(folder: Path) -> int | None:
    """Return the open lock of a folder, None when another run has it. The kernel lets go of a lock
    whose process is killed."""
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove_idle(folder: Path) -> None:
    lock = _locked(folder)
    if lock is not None:
        remove(folder)
        os.close(lock)
