"""Where a worker writes exports before they are whole, and how far it has come with each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ....conf import settings
from ... import scratch

_REMEDY = "RESILIENT_QUEUE['EXPORT_SPOOL'] names another"


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
        lock = scratch.locked(folder)
        if lock is None:  # the earlier run still breathes: nothing of its own may be touched
            folder = base / f"{token}.{run}"
            lock = scratch.locked(folder)
        yield folder
    finally:
        if lock is not None:
            os.close(lock)


def remove(folder: Path) -> None:
    """Remove the folder of an export."""
    scratch.remove(folder)


def remove_of(token: str) -> None:
    """Remove what this machine has of an export that is over."""
    for folder in _base().glob(f"{token}*"):
        scratch.remove_idle(folder)


def remove_left_over(older_than: float) -> None:
    """Remove folders that no run has and that nobody has written to for so many seconds."""
    scratch.remove_left_over(_base(), older_than)


def _base() -> Path:
    chosen = settings.EXPORT_SPOOL
    return scratch.private(Path(chosen) if chosen else scratch.shared("drq-exports"), _REMEDY)
