"""The two modes of a worker: Redis at work, or killed before the first job is enqueued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from example_project.servers import RedisServer
from tests.conftest import Ledger, StartWorker, WaitUntil

if TYPE_CHECKING:
    from tests.acceptance.worker.stage import Stage


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
