"""Starts `manage.py` in a process of its own in a third of the time: `tests/fork_server.py` forks
it, with all imported that is not ours. It is spoken of as a `Popen` is."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from example_project.servers.processes import end, spawn

ROOT = Path(__file__).parent.parent
# Whoever forbids bytecode pays for it with each worker: nothing would be kept compiled.
INTERPRETER = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "default",
}
# Variables that nothing reads before the fork.
OURS = ("DJANGO_SETTINGS_MODULE", "DRQ_TEST_", "PYTEST_")


class Starter:
    """One server of forks."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._environment = {**os.environ, **INTERPRETER}
        del self._environment["DJANGO_SETTINGS_MODULE"]
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = spawn(
                [sys.executable, "-m", "tests.fork_server"],
                log=log,
                directory=ROOT,
                environment=self._environment,
                stdin=theirs.fileno(),
            )

    def start(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Forked:
        request = {"command": command, "directory": str(ROOT), "environment": dict(environment)}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, log.open("ab") as output:
            message = [json.dumps(request).encode()]
            socket.send_fds(self._requests, message, [output.fileno(), theirs.fileno()])
        return Forked(ours)

    def can_start(self, environment: Mapping[str, str]) -> bool:
        """Python and libraries have read theirs: another PYTHONPATH, say, or prefix of rq's keys
        would come too late."""
        names = {name for name in {*environment, *self._environment} if not name.startswith(OURS)}
        return all(environment.get(name) == self._environment.get(name) for name in names)

    def close(self) -> None:
        self._requests.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)  # it ends by itself
        end(self._process, signal.SIGKILL, timeout=10)


class Forked:
    """A process that the starter has forked."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report
        self.pid = int(report.recv(20))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("manage.py", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            with self._report:
                word = self._report.recv(20)
                if word:
                    self._report.send(b".")  # from here on the pid may be another's
            # Without a word its keeper was killed, and it with that.
            self.returncode = int(word or -signal.SIGKILL)
        return self.returncode
