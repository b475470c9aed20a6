"""Two or more workers in one process, real stores, and one clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from example_project.servers import RedisServer
from tests.integration.rules.bench import QUICK, Clock, DrivenWorker, Keys

MakeWorker = Callable[[str], DrivenWorker]

# Where the package asks for the time that leases are measured with.
_CLOCKS = (
    "stores.base",
    "recovery.rescue",
    "recovery.runs",
    "worker.heartbeat",
    "worker.modes",
    "stores.database",
    "stores.redis",
    "worker.shift",
    "worker.stable",
    "worker.supply",
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in _CLOCKS:
        monkeypatch.setattr(f"django_resilient_queue.{module}.boottime", clock)
    return clock


@pytest.fixture
def make_worker(
    clock: Clock, redis_server: RedisServer, transactional_db: None, settings: Settings
) -> Iterator[MakeWorker]:
    """Makes workers that have not started yet."""
    settings.RESILIENT_QUEUE = {**QUICK}
    made: list[DrivenWorker] = []

    def make(name: str) -> DrivenWorker:
        made.append(DrivenWorker(name, clock))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def ann(make_worker: MakeWorker) -> DrivenWorker:
    return make_worker("ann")


@pytest.fixture
def bob(make_worker: MakeWorker) -> DrivenWorker:
    return make_worker("bob")


@pytest.fixture
def keys(redis_server: RedisServer) -> Iterator[Keys]:
    with redis_server.client() as client:
        yield Keys(client)
