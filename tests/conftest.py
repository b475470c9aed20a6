"""Fixtures: real servers and workers (`services.py`, `workers.py`), and conditions to wait for."""

from __future__ import annotations

import importlib
import os
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import django
import pytest
from pytest_django import Settings
from redis.connection import AbstractConnection

from example_project.servers import FaultyProxy, RedisServer, ServerError, ServerProcess
from tests.patience import LIMIT
from tests.services import Services
from tests.starter import Starter
from tests.workers import WorkerProcess, worker_environment

T = TypeVar("T")
SERVICES = "services"
WORKERS = pytest.StashKey[list[WorkerProcess]]()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Starts the servers: the first hook of all, since the settings must know their ports.

    pytest_configure would be too late for a conftest further down that imports models. Each process
    of pytest-xdist that runs tests has servers of its own; the one that hands tests out has none.
    """
    hands_out = hands_out_tests(pluginmanager)
    if not hands_out:
        start_services(pluginmanager)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    if hands_out:
        # Inherited, it would have the settings read before the servers of that process are there.
        del os.environ["DJANGO_SETTINGS_MODULE"]


def hands_out_tests(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Tell whether this process runs no test itself. The options are not yet parsed as a whole."""
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    return "PYTEST_XDIST_WORKER" not in os.environ and bool(
        getattr(config.known_args_namespace, "numprocesses", None)
    )


def start_services(pluginmanager: pytest.PytestPluginManager) -> None:
    services = Services(os.environ.get("DRQ_TEST_DB", "sqlite"))
    try:
        services.start()
    except ServerError as error:
        services.close()
        raise pytest.UsageError(str(error)) from error
    pluginmanager.register(services, SERVICES)
    os.environ.update(services.environment())


def started_services(config: pytest.Config) -> Services:
    services = config.pluginmanager.get_plugin(SERVICES)
    assert isinstance(services, Services)
    return services


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin(SERVICES):
        started_services(config).close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """SQLite has no server that could go away: tests of that run with the other databases. And
    what is the same with each of them runs with SQLite alone."""
    with_server = started_services(config).database is not None
    left_out = is_of_no_database if with_server else is_of_a_database_server
    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [item for item in items if not left_out(item)]


def is_of_a_database_server(item: pytest.Item) -> bool:
    return "database_server" in getattr(item, "fixturenames", ())


def is_of_no_database(item: pytest.Item) -> bool:
    return item.get_closest_marker("one_database") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the workers of a failed test had to say."""
    report = yield
    if report.failed:
        for worker in item.stash.get(WORKERS, []):
            report.sections.append((f"worker {worker.pid}", worker.output[-8000:]))
    return report


@pytest.fixture(scope="session", autouse=True)
def _quick_to_empty() -> Iterator[None]:
    """Tests leave tables empty behind them in a way that takes a few milliseconds."""
    from django.test import TransactionTestCase

    from tests.tables import empty_all

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_all)
        yield


@pytest.fixture(autouse=True)
def _fresh_process_state(_closed_connections: None) -> Iterator[None]:
    """Breakers and clients live as long as a process; a test is to find none of another's."""
    reset_process_state()
    yield
    reset_process_state()


@pytest.fixture
def _closed_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes what redis-py leaves to the garbage collector.

    Of a connection and a socket that are garbage together, Python may finalize the socket first,
    and warns then of one that nobody closed.
    """
    opened = weakref.WeakSet[AbstractConnection]()
    connect: Callable[[AbstractConnection], None] = AbstractConnection.connect

    def remember(connection: AbstractConnection) -> None:
        opened.add(connection)
        connect(connection)

    monkeypatch.setattr(AbstractConnection, "connect", remember)
    yield
    for connection in list(opened):
        connection.disconnect()


def reset_process_state() -> None:
    for name in ("queues", "health", "admin.overview.snapshot"):
        importlib.import_module(f"django_resilient_queue.{name}").reset()


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Services:
    return started_services(pytestconfig)


@pytest.fixture
def redis_server(services: Services) -> RedisServer:
    """The Redis of `RQ_QUEUES`: running, thawed, empty and as it was configured at the start."""
    services.restore_redis()
    load_scripts(services.redis)
    return services.redis


def load_scripts(server: RedisServer) -> None:
    """A test that drops the reply to a script means that of one that ran, whatever came before."""
    from django_resilient_queue.stores import links

    folder = Path(links.__file__).parent / "lua"
    with server.client() as client:
        for path in folder.glob("*.lua"):
            if path.stem != "prelude":
                client.script_load(links.script(path.stem).body)


@pytest.fixture
def database_server(transactional_db: None, services: Services) -> Iterator[ServerProcess]:
    """The server of Django's default connection; it runs again before the tables are emptied."""
    from django.db import connections

    assert services.database is not None
    yield services.database
    services.restore_database()
    connections.close_all()


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultyProxy]:
    """Stands before `redis_server`; nothing uses it until told so, as by `behind_proxy`."""
    with FaultyProxy(redis_server.host, redis_server.port) as running:
        yield running


@pytest.fixture
def behind_proxy(proxy: FaultyProxy, settings: Settings) -> FaultyProxy:
    """Every queue of this process reaches Redis through the proxy."""
    settings.RQ_QUEUES = {
        name: {**queue, "PORT": proxy.port} for name, queue in settings.RQ_QUEUES.items()
    }
    reset_process_state()
    return proxy


class WaitUntil(Protocol):
    def __call__(self, condition: Callable[[], T], timeout: float = LIMIT) -> T: ...


@pytest.fixture
def wait_until() -> WaitUntil:
    return poll


def poll(condition: Callable[[], T], timeout: float = LIMIT) -> T:
    """Returns the first true answer; the limit is for a test that fails, not for one that works."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {timeout} s: {condition}")
        time.sleep(0.02)
    return answer


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    running = Starter(tmp_path_factory.mktemp("starter") / "log")
    yield running
    running.close()


class StartWorker(Protocol):
    def __call__(
        self,
        *queues: str,
        options: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        rq: Mapping[str, Any] | None = None,
        redis_port: int | None = None,
        command: str = "rqworker",
        environment: Mapping[str, str] | None = None,
    ) -> WorkerProcess: ...


@pytest.fixture
def worker_process(
    transactional_db: None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[StartWorker]:
    """Starts workers on the test's own database; they end before its tables are emptied."""
    from django.db import connection

    plain = request.node.get_closest_marker("from_the_command_line")
    starter = None if plain else request.getfixturevalue("starter")
    # A check imports all pages, to find of each worker what it has found of the one before.
    unchecked = [] if plain else ["--skip-checks"]
    workers = request.node.stash.setdefault(WORKERS, [])

    def start(
        *queues: str,
        options: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        rq: Mapping[str, Any] | None = None,
        redis_port: int | None = None,
        command: str = "rqworker",
        environment: Mapping[str, str] | None = None,
    ) -> WorkerProcess:
        known = worker_environment(
            database_name=str(connection.settings_dict["NAME"]),
            redis_port=redis_port,
            settings=settings,
            rq=rq,
        )
        worker = WorkerProcess(
            [command, *queues, *options, *unchecked],
            log=tmp_path / f"worker-{len(workers)}.log",
            environment={**known, **(environment or {})},
            starter=starter,
        )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.close()


class Ledger:
    """The file that `tests.jobs.record` writes to: what has really been executed."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    @property
    def lines(self) -> list[str]:
        """In the order of execution; a value that occurs twice was executed twice."""
        path = Path(self.path)
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.txt")
