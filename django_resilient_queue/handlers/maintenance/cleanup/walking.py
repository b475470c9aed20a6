"""Files below a folder, each named by the open folder that holds it: no symbolic link is followed,
and no folder that is swapped meanwhile leads anywhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

_DEEPEST = 64  # folders that are open at once
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file. Good until the walk goes on."""

    folder: int  # a file descriptor
    name: str
    path: str  # below the root
    known: os.stat_result

    def remove(self) -> int:
        """Unlink it, unless it is gone or another one, or was written to since; return how many
        went. Raises OSError."""
        try:
            now = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
            same = os.path.samestat(now, self.known) and now.st_mtime_ns == self.known.st_mtime_ns
            if same and stat.S_ISREG(now.st_mode):
                os.unlink(self.name, dir_fd=self.folder)
                return 1
        except FileNotFoundError:
            pass
        return 0


def walk(root: str) -> Iterator[FoundFile]:
    """Yield the files below a folder, none of another file system. Raises OSError for the root;
    a folder further down that can't be read is passed over."""
    # Without a slash at its end, behind which even the root would be followed.
    folder = os.open(os.path.normpath(root), _FLAGS)
    try:
        yield from _inside(folder, "", os.fstat(folder).st_dev, _DEEPEST)
    finally:
        os.close(folder)


def _inside(folder: int, prefix: str, device: int, depth: int) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                known = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone meanwhile
            path = f"{prefix}{entry.name}"
            if stat.S_ISREG(known.st_mode):
                yield FoundFile(folder, entry.name, path, known)
            elif stat.S_ISDIR(known.st_mode) and depth:
                yield from _below(folder, entry.name, path, device, depth)


def _below(folder: int, name: str, path: str, device: int, depth: int) -> Iterator[FoundFile]:
    try:
        inner = os.open(name, _FLAGS, dir_fd=folder)
    except OSError:
        return  # not ours to read, gone, or a link by now
    try:
        if os.fstat(inner).st_dev == device:
            yield from _inside(inner, f"{path}/", device, depth - 1)
    finally:
        os.close(inner)
