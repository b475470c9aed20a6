"""`manage.py` commands as child processes; each writes its own log."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from example_project.servers.processes import ServerError, spawn

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


class Child:
    """A `manage.py` command in a process of its own, which ends with this process at the latest."""

    def __init__(self, name: str, *command: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.log.touch()
        python = [sys.executable, str(MANAGE), *command]
        self.process = spawn(python, log=self.log, directory=folder)

    def wait_for_line(self, pattern: str, *, timeout: float) -> str:
        """The first group of `pattern`, once the log has a line that matches it."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self._read_log())):
            self.must_run()
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not start within {timeout:g} s: see {self.log}")
            time.sleep(0.02)
        return found[1]

    def must_run(self) -> None:
        code = self.process.poll()
        if code is not None:
            end = self._read_log()[-2000:]
            raise ServerError(f"{self.name} ended by itself with code {code}:\n{end}")

    def _read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def end_all(children: Iterable[Child], *, timeout: float = 6.0) -> None:
    """Ask all at once, wait for them together, then kill whoever is left; each by its own pid."""
    left = [child.process for child in children if child.process.poll() is None]
    for process in left:
        process.terminate()
    deadline = time.monotonic() + timeout
    for process in left:
        _wait_or_kill(process, timeout=max(0.0, deadline - time.monotonic()))


def _wait_or_kill(process: subprocess.Popen[bytes], *, timeout: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout)
        return
    process.kill()
    process.wait()
