"""A MariaDB of its own starts, dies and freezes, and a plain Python driver does for Django."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pymysql
import pytest
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from example_project.servers import MariaDBServer


@pytest.fixture(scope="module")
def running() -> Iterator[MariaDBServer]:
    with MariaDBServer() as server:
        server.create_database()
        yield server


@pytest.fixture
def server(running: MariaDBServer) -> Iterator[MariaDBServer]:
    yield running
    running.thaw()
    running.start()


@pytest.fixture
def connection(server: MariaDBServer, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    connection = ConnectionHandler({"default": server.settings()})["default"]
    with django_db_blocker.unblock():
        yield connection
        connection.close()


def ask(connection: Any, question: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
    return row[0] if row else None


def test_django_talks_to_it_and_may_skip_locked_rows(connection: Any) -> None:
    assert ask(connection, "SELECT 1") == 1
    assert connection.mysql_is_mariadb
    assert connection.features.has_select_for_update_skip_locked


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_after_its_end_it_refuses_and_then_knows_what_was_committed(
    server: MariaDBServer, connection: Any, end: str
) -> None:
    ask(connection, f"CREATE TABLE before_{end} (id int)")
    getattr(server, end)()
    with pytest.raises(pymysql.OperationalError):
        pymysql.connect(host=server.host, port=server.port, user="drq", password="")
    connection.close()

    server.start()
    assert ask(connection, f"SELECT count(*) FROM before_{end}") == 0


def test_frozen_it_answers_nobody_until_it_is_thawed(
    server: MariaDBServer, connection: Any
) -> None:
    connection.inc_thread_sharing()
    ask(connection, "SELECT 1")
    with ThreadPoolExecutor(1) as pool:
        with server.frozen():
            late: Future[object] = pool.submit(ask, connection, "SELECT 1")
            with pytest.raises(pymysql.OperationalError, match="timed out"):
                pymysql.connect(host=server.host, port=server.port, user="drq", read_timeout=1)
            assert not late.done()
        assert late.result(timeout=60) == 1
