"""What each test of a running worker needs: stores, a ledger, and conditions to wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.utils import timezone

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import Ledger, StartWorker, WaitUntil
from tests.patience import LIMIT
from tests.workers import WorkerProcess

T = TypeVar("T")
End = Callable[[], object]  # of an outage

REDIS, DATABASE = "redis", "database"
in_redis = pytest.mark.parametrize("mode", [REDIS], indirect=True)
in_database = pytest.mark.parametrize("mode", [DATABASE], indirect=True)

# A worker that is only paused by a busy machine keeps what it has: see OF_WORKERS.
QUICK = {"HEARTBEAT_INTERVAL": 0.3, "PROBE_INTERVAL": 0.3}
# For tests that wait for the death of a worker to be noticed; no pause is so long either.
SHORT_LEASE = {"LEASE": 8}


def frozen(redis: RedisServer) -> End:
    redis.freeze()
    return redis.thaw


def killed(redis: RedisServer) -> End:
    """It comes back empty."""
    redis.kill()
    return redis.start


class Stage:
    """One test's Redis, workers and ledger. In mode `database` Redis was killed before the test."""

    def __init__(
        self,
        mode: str,
        redis: RedisServer,
        start: StartWorker,
        until: WaitUntil,
        ledger: Ledger,
        directory: Path,
    ) -> None:
        self.mode, self.redis, self.until = mode, redis, until
        self._start, self._ledger, self._directory = start, ledger, directory

    # ---- what runs -----------------------------------------------------------------------------

    def worker(
        self,
        *queues: str,
        options: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        command: str = "rqworker",
    ) -> WorkerProcess:
        """A worker of `default`, or of the queues named."""
        return self._start(
            *(queues or ("default",)),
            options=options,
            settings={**QUICK, **(settings or {})},
            environment=environment,
            command=command,
        )

    def bring_back(self, database: ServerProcess) -> None:
        """The connection of the test itself was cut as well."""
        database.start()
        connections.close_all()

    def make_due(self, job_id: str) -> None:
        """The time has come for which a job waits."""
        if self.mode == DATABASE:
            FallbackJob.objects.filter(job_id=job_id).update(due_at=timezone.now())
            return
        with self.redis.client() as client:
            assert client.zadd("rq:scheduled:default", {job_id: 1}, xx=True, ch=True)

    def gate(self, name: str = "gate") -> str:
        """The file that a waiting job waits for."""
        return str(self._directory / name)

    def open(self, gate: str) -> None:
        Path(gate).touch()

    # ---- what happened -------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self._ledger.path

    @property
    def lines(self) -> list[str]:
        return self._ledger.lines

    def until_lines(self, *lines: str, timeout: float = LIMIT) -> None:
        """Waits until exactly this has been executed; shows what has been, if something else."""
        try:
            self.until(lambda: self.lines == list(lines), timeout)
        except AssertionError:
            raise AssertionError(f"executed: {self.lines}, not {list(lines)}") from None

    def until_state(self, job_id: str, state: JobState, timeout: float = LIMIT) -> None:
        try:
            self.until(lambda: self.state(job_id) == state, timeout)
        except AssertionError:
            raise AssertionError(f"{job_id} is {self.state(job_id)}, not {state}") from None

    def state(self, job_id: str) -> JobState | None:
        found = get_job(job_id)
        return found.state if found else None

    def letter(self, timeout: float = LIMIT) -> DeadLetter:
        """Waits for the one dead letter."""
        self.until(DeadLetter.objects.exists, timeout)
        return DeadLetter.objects.get()

    def row(self, job_id: str) -> FallbackJob | None:
        return FallbackJob.objects.filter(job_id=job_id).first()

    def until_worker_uses(self, store: str, timeout: float = LIMIT) -> None:
        """Waits until every worker that lists itself says that it claims from this store."""
        self.until(lambda: set(_modes()) == {store}, timeout)


def _modes() -> list[str]:
    return list(WorkerHeartbeat.objects.values_list("mode", flat=True))


def is_alive(pid: int) -> bool:
    """A process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(call: Callable[[], object]) -> bool:
    """True once the call neither raises nor says no."""
    try:
        return bool(call())
    except Exception:  # noqa: BLE001 - whatever a server that is not there yet makes of it
        return False
