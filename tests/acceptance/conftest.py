"""The two modes of a worker: Redis at work, or killed before the first job is enqueued. And what
outages and deaths need: workers that are at work, and jobs that can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from example_project.servers import RedisServer
from tests.conftest import Ledger, StartWorker, WaitUntil
from tests.mailserver import MailServer, running
from tests.patience import patience
from tests.workers import WorkerProcess

if TYPE_CHECKING:
    from tests.acceptance.executions import Executions
    from tests.acceptance.worker.stage import Stage

# Models are imported late: pytest may load this file before the settings are there.


class StartWorkers(Protocol):
    def __call__(
        self, count: int = 2, *, mode: str = "redis", **options: Any
    ) -> list[WorkerProcess]: ...


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """How long something takes is asserted by tests that run alone."""
    with nullcontext() if request.node.get_closest_marker("alone") else patience():
        yield


@pytest.fixture(params=["redis", "database"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(
    mode: str,
    redis_server: RedisServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    ledger: Ledger,
    tmp_path: Path,
) -> Stage:
    # Imports models: too early for it where pytest loads this file before the settings are there.
    from tests.acceptance.worker.stage import DATABASE, Stage

    if mode == DATABASE:
        redis_server.kill()
    return Stage(mode, redis_server, worker_process, wait_until, ledger, tmp_path)


@pytest.fixture
def workers(worker_process: StartWorker, wait_until: WaitUntil) -> StartWorkers:
    """Starts workers on the default queue and waits until they claim from the store of `mode`."""
    from django_resilient_queue.models import WorkerHeartbeat

    def start(count: int = 2, *, mode: str = "redis", **options: Any) -> list[WorkerProcess]:
        started = [worker_process("default", **options) for _ in range(count)]
        there = WorkerHeartbeat.objects.filter(pid__in=[worker.pid for worker in started])
        wait_until(lambda: there.filter(mode=mode).count() == count)
        return started

    return start


@pytest.fixture
def executions(ledger: Ledger, redis_server: RedisServer, wait_until: WaitUntil) -> Executions:
    from tests.acceptance.executions import Executions

    return Executions(ledger, redis_server, wait_until)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running() as server:
        yield server
