"""Where one file is worked on: the folder for outputs, what they may cost, what decoders raise."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import FileRefused, MissingTool
from .formats import CONTENT_TYPES, EXTENSIONS
from .task import Limits, Operation, Output

_OF_THE_MACHINE = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN}


class Desk:
    """Names outputs and counts their bytes."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._room = limits.output
        self._names = 0

    def new(self, file_format: str) -> Path:
        """Return where the next output goes."""
        self._names += 1
        return self.folder / f"out-{self._names}.{EXTENSIONS[file_format]}"

    def finished(
        self, path: Path, operation: Operation, file_format: str, **details: Any
    ) -> Output:
        """Account for an output. Raises FileRefused when all are too much together."""
        size = path.stat().st_size
        self._room -= size
        if self._room < 0:
            raise FileRefused(f"the outputs have more than {self.limits.output} bytes")
        return Output(
            operation=operation["operation"],
            file=path.name,
            content_type=CONTENT_TYPES[file_format],
            details=details,
        )


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever a decoder says of a broken file into FileRefused."""
    try:
        yield
    except (FileRefused, MissingTool):
        raise
    except MemoryError:
        raise FileRefused(f"{what} needs more memory than FILE_MEMORY allows") from None
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        if error.errno == errno.EFBIG:
            raise FileRefused(f"{what} becomes larger than FILE_SIZE_LIMIT allows") from None
        raise _undecodable(what, error) from None
    # Given hostile bytes, a decoder may raise anything.
    except Exception as error:  # noqa: BLE001
        raise _undecodable(what, error) from None


def _undecodable(what: str, error: Exception) -> FileRefused:
    traceback.print_exception(error)
    return FileRefused(f"{what} can't be decoded ({type(error).__name__})")
