"""The tasks ``temporary_files`` and ``rotated_logs``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from ....conf import settings
from ....exceptions import PermanentError
from ...cleanups import Find, cleanup_task
from .schemas import OldFiles, OldLogs
from .walking import FoundFile, walk


@cleanup_task("temporary_files", options=OldFiles)
def temporary_files(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """Files of a root whose names fit a pattern and that nobody wrote to for so many seconds."""
    return islice(_old_files(options, lambda name: True), limit)


@cleanup_task("rotated_logs", options=OldLogs)
def rotated_logs(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """The same for logs, and never one that is written to: those end on ``.log``."""
    return islice(_old_files(options, lambda name: not name.endswith(".log")), limit)


def _old_files(options: Mapping[str, Any], is_wanted: Callable[[str], bool]) -> Iterator[Find]:
    root, patterns = str(options["root"]), options["patterns"]
    before = time.time() - options["older_than"]
    for file in walk(_folder(root)):
        fits = any(fnmatchcase(file.name, pattern) for pattern in patterns)
        if fits and is_wanted(file.name) and file.known.st_mtime < before:
            yield Find(file.remove, (_readable(root, file),), size=file.known.st_size)


def _folder(root: str) -> str:
    """Looked up again when the job runs: the settings may have changed since it was enqueued."""
    try:
        folder = settings.CLEANUP_ROOTS[root]
    except KeyError:
        raise PermanentError(f"CLEANUP_ROOTS has no {root!r}") from None
    if Path(folder).is_symlink():
        raise PermanentError(f"CLEANUP_ROOTS[{root!r}] is a symbolic link: name the folder itself")
    return folder


def _readable(root: str, file: FoundFile) -> str:
    """Return a name that fits into a report: names of files are bytes."""
    text = os.fsencode(file.path).decode("utf-8", "backslashreplace")
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return f"{root}:{shown}"
