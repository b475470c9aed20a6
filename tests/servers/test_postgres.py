"""A PostgreSQL of its own starts, dies and freezes, also where the tests run as root."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from example_project.servers import PostgresServer
from example_project.servers.postgres import carried_by_a_package, postgres_bin
from example_project.servers.processes import descendants


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    yield running
    running.thaw()
    running.start()


def ask(server: PostgresServer, question: str) -> object:
    with psycopg.connect(server.url, connect_timeout=5, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return row[0] if row else None


def test_it_is_the_superuser_who_asks(server: PostgresServer) -> None:
    assert ask(server, "SELECT usesuper FROM pg_user WHERE usename = current_user") is True


def test_a_database_is_made_under_the_name_that_django_gets(server: PostgresServer) -> None:
    server.create_database("shop")
    settings = server.settings("shop")
    with psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], dbname="shop"
    ) as connection:
        assert connection.info.dbname == "shop"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_after_its_end_it_refuses_and_then_knows_what_was_committed(
    server: PostgresServer, end: str
) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE before_{end} (id int)")
        getattr(server, end)()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(server.url)

    server.start()
    assert ask(server, f"SELECT count(*) FROM before_{end}") == 0


def test_frozen_it_answers_nobody_until_it_is_thawed(server: PostgresServer) -> None:
    with (
        psycopg.connect(server.url, autocommit=True) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        with server.frozen():
            late: Future[object] = pool.submit(connection.execute, "SELECT 1")
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                psycopg.connect(server.url, connect_timeout=2)
            assert not late.done()
        assert late.result(timeout=60)


def test_its_end_leaves_no_process(server: PostgresServer) -> None:
    backends = descendants(server.pid)
    server.kill()
    assert backends
    assert not [pid for pid in backends if Path(f"/proc/{pid}").exists()]


def test_the_programs_of_a_package_serve_where_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carried = carried_by_a_package()
    assert carried is not None
    monkeypatch.setenv("DRQ_POSTGRES_BIN", str(carried))
    with PostgresServer() as server:
        assert postgres_bin().name == "bin"
        assert str(ask(server, "SHOW server_version"))
