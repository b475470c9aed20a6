"""What the overview fetches again by itself, and what looking at it costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db.backends.utils import CursorWrapper
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.health import collect
from django_resilient_queue.models import Sample
from tests.clients import client_of
from tests.health import address, live_worker, waiting_row
from tests.integration.overview.screen import NAME, SHARING, headline, letter, live, outage, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements of all threads: the report's are asked in some of their own."""
    statements: list[str] = []
    execute = CursorWrapper.execute

    def note(self: Any, sql: str, params: Any = None) -> Any:
        if not sql.startswith(("PRAGMA", "SET", "SELECT VERSION", "BEGIN", "COMMIT")):
            statements.append(sql)
        return execute(self, sql, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CursorWrapper, "execute", note)
        yield statements


def test_the_refresh_brings_what_the_page_shows() -> None:
    live_worker()
    outage(
        started_at=timezone.now() - timedelta(minutes=9), ended_at=timezone.now(), open_marker=None
    )
    now = timezone.now().replace(second=0, microsecond=0)
    for n in range(3):
        Sample.objects.create(
            broker=address(),
            minute=now - timedelta(minutes=2 - n),
            taken_at=now - timedelta(minutes=2 - n),
            waiting=n,
            performed={"low": [60 * n, 0]},
        )
    client = client_of("view_overview")
    found = live(client)
    assert headline(found["parts"]["drq-now"]).startswith("Healthy")
    assert "1 outage in the last hour." in found["parts"]["drq-outages"]
    drawing = found["drawing"]
    assert len(drawing["times"]) == 61
    assert [len(each) for each in drawing["outages"]] == [2]
    (throughput, *_, letters) = drawing["charts"]
    assert (throughput["name"], letters["name"]) == ("throughput", "letters")
    assert max(filter(None, throughput["series"][0]["values"])) == 60
    assert "120 attempts, 0 of them from the database" in throughput["summary"]


def test_charts_come_again_when_there_is_something_new(settings: Settings) -> None:
    client = client_of("view_overview")
    drawn = live(client)["drawn"]
    while "drawing" in (found := live(client, drawn=drawn)):  # the minute may have ended
        drawn = found["drawn"]
    outage()
    assert "drawing" in live(client, drawn=drawn)


def test_ten_who_look_cost_as_much_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores are asked once, however many ask at the same time."""
    asked: list[float] = []

    def count(**options: Any) -> Any:
        asked.append(time.monotonic())
        return collect(**options)

    monkeypatch.setattr(f"django_resilient_queue.{SHARING}.collect", count)
    monkeypatch.setattr(sharing._snapshot, "_seconds", 60.0)
    sharing.reset()
    threads = [threading.Thread(target=sharing.snapshot) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    monkeypatch.setattr(sharing._snapshot, "_seconds", 0.0)
    sharing.snapshot()
    assert len(asked) == 2, "an old answer is not shown"


@pytest.mark.parametrize("name", ["changelist", "live"])
def test_a_page_takes_as_many_statements_however_much_there_is(name: str) -> None:
    client = client_of("view_overview", "view_deadletter", "view_outage", "pause_queue")

    def statements() -> int:
        sharing.reset()
        with counted() as asked:
            assert client.get(reverse(f"{NAME}_{name}")).status_code == 200
        return len(asked)

    live_worker("first")
    letter("first", "builtins.ValueError")
    outage(ended_at=timezone.now(), open_marker=None)
    statements()
    of_one = statements()
    for n in range(30):
        live_worker(f"w-{n}")
        letter(f"l-{n}", f"builtins.Error{n}", "low" if n % 2 else "high")
        outage(ended_at=timezone.now(), open_marker=None)
        waiting_row(f"r-{n}", "low")
    assert statements() == of_one
    assert of_one <= 40


def test_a_week_of_charts_is_read_by_one_statement() -> None:
    """The other is for the throughput of the queues."""
    client = client_of("view_overview")
    with counted() as asked:
        page(client, span="week")
    assert len([sql for sql in asked if "sample" in sql and "waiting" in sql]) == 2
