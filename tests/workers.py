"""A worker as the operator runs it: `manage.py rqworker` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
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
        """SIGTERM: a warm shutdown."""
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the worker alone, as the kernel does; its horses must notice."""
        self.send(signal.SIGKILL)
        self._process.wait(LIMIT)

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
        if not self.is_running:
            return
        horses = self.horses
        end(self._process, signal.SIGKILL, timeout=LIMIT)
        for pid in horses:
            _kill_if_there(pid)


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


def _kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
