"""A worker as the operator runs it: `manage.py rqworker` in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from example_project.servers.processes import descendants, end, signal_descendants, spawn
from tests.patience import LIMIT, OF_WORKERS
from tests.starter import INTERPRETER, ROOT, Forked, Starter


class WorkerProcess:
    """Ended by pid, together with the horses, which lead process groups of their own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        starter: Starter | None = None,
    ) -> None:
        self.log = log
        command = [str(ROOT / "manage.py"), *command]
        environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | Forked
        if starter and starter.can_start(environment):
            self._process = starter.start(command, log=log, environment=environment)
        else:
            command = [sys.executable, *command]
            self._process = spawn(command, log=log, directory=ROOT, environment=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def horses(self) -> list[int]:
        """The pids of everything that this worker has forked."""
        return descendants(self.pid)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def send(self, signal_number: int) -> None:
        self._process.send_signal(signal_number)

    def terminate(self) -> None:
        """A warm shutdown."""
        self.end_by(signal.SIGTERM)

    def end_by(self, signal_number: int) -> None:
        """Sent too early, before rq takes them, SIGTERM and SIGINT would be a death."""
        deadline = time.monotonic() + LIMIT
        while self.is_running and not _takes(self.pid, signal.SIGTERM):
            assert time.monotonic() < deadline, "it never takes SIGTERM"
            time.sleep(0.02)
        self.send(signal_number)

    def kill(self) -> None:
        """SIGKILL to the worker alone, as the kernel does; its horses must notice."""
        self.send(signal.SIGKILL)
        self._process.wait(LIMIT)

    def kill_all(self) -> None:
        """The end of a machine: no horse outlives the worker, and it hears of no horse's end."""
        self.freeze()
        signal_descendants(self.pid, signal.SIGKILL)
        self.kill()

    def freeze(self) -> None:
        """SIGSTOP to the worker and its horses: a paused machine."""
        self.send(signal.SIGSTOP)
        signal_descendants(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        signal_descendants(self.pid, signal.SIGCONT)
        self.send(signal.SIGCONT)

    def wait(self, timeout: float = LIMIT) -> int:
        return self._process.wait(timeout)

    def close(self) -> None:
        """Also what a worker, or a pool, that ended otherwise than expected has left behind."""
        end(self._process, signal.SIGKILL, timeout=LIMIT)
        for output in Path("/proc").glob("[0-9]*/fd/1"):
            if _leads_to(output, self.log):
                _kill_if_there(int(output.parent.parent.name))


def worker_environment(
    *,
    database_name: str,
    redis_port: int | None,
    settings: Mapping[str, Any] | None,
    rq: Mapping[str, Any] | None,
) -> dict[str, str]:
    """What a worker must know beyond the environment of the test session itself."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DRQ_TEST_DB_NAME": database_name,
        "DRQ_TEST_RESILIENT_QUEUE": json.dumps({**OF_WORKERS, **(settings or {})}),
        "DRQ_TEST_RQ": json.dumps(dict(rq or {})),
        **INTERPRETER,
    }
    if redis_port is not None:
        environment["DRQ_TEST_REDIS_PORT"] = str(redis_port)
    return environment


def _takes(pid: int, signal_number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal_number - 1) & 1)


def _leads_to(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target.resolve()
    except OSError:  # of another user, or gone
        return False


def _kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
