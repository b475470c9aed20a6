"""A file of text that is only appended to, so that another process can go on with it."""

from __future__ import annotations

import os
from pathlib import Path


class AppendedFile:
    """UTF-8, from a position on; what stood behind it is cut off."""

    def __init__(self, path: Path, *, at: int) -> None:
        self._file = path.open("r+b" if at else "wb")
        self._file.truncate(at)
        self._file.seek(at)

    def append(self, text: str) -> None:
        """Write at the end."""
        self._file.write(text.encode("utf-8", "replace"))

    def synced(self) -> int:
        """Return how long it is, once that is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
