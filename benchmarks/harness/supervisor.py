"""Two `manage.py rqworker` under a supervisor, which starts another when one has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.databases import ROOT
from example_project.servers.processes import descendants, end, spawn


@dataclass(frozen=True)
class Kill:
    """Something that the harness did to a worker, on purpose."""

    at: float
    worker: int


class Supervisor:
    """`kills` are what the harness caused; `exits` are what nobody caused."""

    def __init__(self, count: int, directory: Path, environment: Mapping[str, str]) -> None:
        self.kills: list[Kill] = []
        self.exits: list[str] = []
        self._directory = directory
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._started = 0
        self._workers = [self._start() for _ in range(count)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self._thread.start()

    @property
    def logs(self) -> str:
        logs = sorted(self._directory.glob("worker-*.log"))
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def pids(self) -> set[int]:
        return {worker.pid for worker in self._workers}

    def kill_tree(self, worker: int) -> None:
        """The whole container is gone at once: nobody can notice that another is dead."""
        self._note(worker)
        everyone = [worker, *descendants(worker)]
        for pid in everyone:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self, worker: int, signal_number: int = signal.SIGKILL) -> None:
        self._note(worker)
        os.kill(worker, signal_number)

    def kill_horse(self, horse: int, worker: int) -> None:
        self.kills.append(Kill(time.monotonic(), -worker))  # a worker must survive its horse
        os.kill(horse, signal.SIGKILL)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for worker in self._workers:
            horses = descendants(worker.pid)
            end(worker, signal.SIGKILL, timeout=10)
            for pid in horses:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _note(self, worker: int) -> None:
        self.kills.append(Kill(time.monotonic(), worker))

    def _start(self) -> subprocess.Popen[bytes]:
        self._started += 1
        return spawn(
            [sys.executable, str(ROOT / "manage.py"), "rqworker", "default"],
            log=self._directory / f"worker-{self._started}.log",
            directory=ROOT,
            environment=self._environment,
        )

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for i, worker in enumerate(self._workers):
                if worker.poll() is None:
                    continue
                if worker.pid not in {kill.worker for kill in self.kills}:
                    self.exits.append(f"pid {worker.pid} ended with {worker.returncode}")
                self._workers[i] = self._start()
