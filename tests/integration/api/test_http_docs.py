"""http-docs/queue.http has every call of the API, and each of them is understood."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.urls import resolve

from django_resilient_queue.models import RecoveryRun
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import Selection
from example_project.servers import RedisServer
from tests import rows
from tests.integration.api.routes import ROUTES
from tests.integration.api.test_letters import dead
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = (Path(__file__).parents[3] / "http-docs" / "queue.http").read_text()
VARIABLE = re.compile(r"^@(\w+) = (.+)$", re.MULTILINE)
VALUES = dict(VARIABLE.findall(TEXT))


class Call(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any


def calls(**instead: Any) -> Iterator[Call]:
    """Read the file as its clients do, with other values for some variables."""
    values = {**VALUES, **instead}
    for block in re.split(r"^###.*$", TEXT, flags=re.MULTILINE)[1:]:
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: str(values[found[1]]), block).strip()
        head, _, body = text.partition("\n\n")
        first, *lines = head.splitlines()
        method, address = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        assert address.startswith(values["api"])
        path = ROOT + address.removeprefix(f"{values['api']}/")
        yield Call(method, path, headers, json.loads(body) if body else None)


def test_every_call_is_in_the_file_and_no_other() -> None:
    documented = {
        (call.method, resolve(call.path.partition("?")[0]).route.removeprefix(ROOT[1:]))
        for call in calls()
    }
    assert documented == {(route.method, route.pattern) for route in ROUTES}


def test_each_call_does_what_it_says(redis_server: RedisServer) -> None:
    rows.make_worker(VALUES["worker"])
    rows.make_job(VALUES["stored"])
    known = {"outage": rows.make_outage("redis").pk, "run": a_run().pk}
    for number in range(len(list(calls()))):
        letter = dead(f"dead-{number}", "email:send")  # one that nobody has dealt with yet
        call = list(calls(letter=letter.pk, **known))[number]
        answer = send(call)
        assert answer.status_code < 300 or "/health/" in call.path, (call, answer.content)


def a_run() -> RecoveryRun:
    return start_run(Selection(handler="sum:add"), by="ann")


def send(call: Call) -> Any:
    headers = {name: value for name, value in call.headers.items() if name == "Idempotency-Key"}
    return client().generic(
        call.method,
        call.path,
        "" if call.body is None else json.dumps(call.body),
        content_type=call.headers.get("Content-Type", "application/octet-stream"),
        headers=headers,
    )
