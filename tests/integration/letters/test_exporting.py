"""Files of letters as a site under ASGI sends them: read while they are sent, never as a whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_resilient_queue.admin.letters import exporting
from django_resilient_queue.recovery.retention import as_json
from tests.asgi import Exchange
from tests.integration.letters.desk import REVEAL, VIEW, address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 5


class Reading:
    """Which letters were read from the database, and by which connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        self.connections: list[BaseDatabaseWrapper] = []
        self._read = as_json
        monkeypatch.setattr(exporting, "BATCH", 1)
        monkeypatch.setattr(exporting, "as_json", self._note)

    def _note(self, letter: Any) -> dict[str, Any]:
        self.ids.append(letter.job_id)
        self.connections.append(connections["default"])
        return self._read(letter)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    for number in range(COUNT):
        letter_of(f"job-{number}")
    return Reading(monkeypatch)


def cookies_of(*permissions: str) -> dict[str, str]:
    return {name: morsel.value for name, morsel in client_of(*permissions).cookies.items()}


def test_a_file_is_sent_before_all_of_it_is_read(reading: Reading) -> None:
    read_by_then: list[int] = []

    async def note(exchange: Exchange, message: dict[str, Any]) -> None:
        read_by_then.append(len(reading.ids))

    path, cookies = f"{address('export_all')}?queue_name=default", cookies_of(VIEW, REVEAL)
    found = asyncio.run(Exchange(path, cookies, note).answer())
    assert found.status == 200
    assert read_by_then == [1, 2, 3, 4, 5]
    sent = {json.loads(line)["job_id"] for line in found.body.splitlines()}
    assert sent == {f"job-{number}" for number in range(COUNT)}


def test_whoever_goes_away_has_no_more_of_it_read_and_no_connection_kept(reading: Reading) -> None:
    async def leave(exchange: Exchange, message: dict[str, Any]) -> None:
        exchange.go_away()

    path, cookies = f"{address('export_all')}?queue_name=default", cookies_of(VIEW, REVEAL)
    found = asyncio.run(Exchange(path, cookies, leave).answer())
    assert found.status == 200
    assert len(reading.ids) < COUNT
    assert [each for each in reading.connections if each.connection is not None] == []


def test_one_letter_is_sent_whole(reading: Reading) -> None:
    async def note(exchange: Exchange, message: dict[str, Any]) -> None: ...

    path = address("export", letter_of("alone").pk)
    found = asyncio.run(Exchange(path, cookies_of(), note).answer())
    assert [json.loads(line)["job_id"] for line in found.body.splitlines()] == ["alone"]
