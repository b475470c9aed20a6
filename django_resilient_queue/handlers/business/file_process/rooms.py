"""The folder that one file is worked on in. What a killed work horse has left goes at the next."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import scratch

_REMEDY = "the environment's TMPDIR names another place"


@contextmanager
def room() -> Iterator[Path]:
    """Give an empty folder, removed at the end. Raises ImproperlyConfigured and OSError."""
    base = scratch.private(scratch.shared("drq-files"), _REMEDY)
    scratch.remove_left_over(base, older_than=0)
    lock = None
    while lock is None:  # unless another run removes it in between
        folder = base / secrets.token_hex(8)  # short: LibreOffice makes a socket in there
        lock = scratch.locked(folder)
    try:
        yield folder
    finally:
        scratch.remove(folder)
        os.close(lock)
