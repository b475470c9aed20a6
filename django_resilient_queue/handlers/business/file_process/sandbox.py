"""Starts the program that decodes, waits no longer than is allowed, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ....conf import settings
from .errors import FileRefused, MissingTool, ToolFailed, ToolTimeout
from .task import REPORT_NAME, TASK_NAME, Limits, Operation, Report

_PROGRAM = f"{__package__}.program"
_LONGEST_REPORT = 4 * 1024 * 1024
_MIB = 1024 * 1024
# Ends that the same file would come to again: too much processor time, a crash in a decoder.
_OF_THE_FILE = {signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def limits() -> Limits:
    """Return what the settings allow."""
    return Limits(
        seconds=settings.FILE_TIMEOUT,
        memory=settings.FILE_MEMORY * _MIB,
        output=settings.FILE_SIZE_LIMIT,
        pixels=settings.FILE_PIXELS,
        unpacked=settings.FILE_UNPACKED_LIMIT,
        pages=settings.FILE_PAGES,
        video_seconds=settings.FILE_VIDEO_SECONDS,
    )


def decode(folder: Path, operations: Sequence[Operation], allowed: Limits) -> Report:
    """Process the file named `SOURCE_NAME` in a folder, which gets the outputs.

    Raises FileRefused, MissingTool, ToolTimeout and ToolFailed.
    """
    task = {"operations": list(operations), "limits": asdict(allowed)}
    (folder / TASK_NAME).write_text(json.dumps(task))
    code = _run(folder, allowed.seconds)
    report = _report(folder)
    if report is None:
        raise _end(code)
    if report.refused:
        raise FileRefused(report.refused)
    if report.missing:
        raise MissingTool(report.missing)
    return report


def _run(folder: Path, seconds: float) -> int:
    """Return the exit status, negative for a signal."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", _PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise ToolTimeout(f"not done within FILE_TIMEOUT, {seconds:g} s") from None
    finally:
        # Whatever it has started belongs to its group: LibreOffice, too, which starts others.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _environment(folder: Path) -> dict[str, str]:
    """Return what the program may know: the worker's environment holds passwords."""
    nowhere = "http://127.0.0.1:9"  # documents may link to pictures elsewhere
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(map(str, filter(None, map(os.path.abspath, sys.path)))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        # Address space is limited, and glibc would take much of it for each thread.
        "MALLOC_ARENA_MAX": "2",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
    }


def _report(folder: Path) -> Report | None:
    path = folder / REPORT_NAME
    if not path.is_file() or path.stat().st_size > _LONGEST_REPORT:
        return None
    try:
        return Report.of(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError):
        return None


def _end(code: int) -> Exception:
    if code < 0 and -code in _OF_THE_FILE:
        return FileRefused(f"the file makes its decoder end by {signal.Signals(-code).name}")
    if code < 0:
        return ToolFailed(f"the decoding program was ended by {signal.Signals(-code).name}")
    return ToolFailed(f"the decoding program ended with status {code}")
