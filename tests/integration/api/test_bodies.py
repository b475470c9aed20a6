"""Bodies that no client of ours sends: too long, too deep, or no JSON."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

import pytest
from pytest_django import Settings

from django_resilient_queue.api.parser import BoundedJSONParser
from django_resilient_queue.api.problem import Problem
from example_project.servers import RedisServer
from tests.enqueueing import is_empty
from tests.exploration import document
from tests.integration.api.routes import ROUTES, template
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
MEBIBYTE = 1024 * 1024


class Counted(BytesIO):
    """Knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


def post(body: bytes, path: str = "jobs/", **more: Any) -> Any:
    return client().post(f"{ROOT}{path}", body, content_type="application/json", **more)


@pytest.mark.parametrize("path", ["jobs/", "jobs/batch/"])
def test_fifty_megabytes_are_refused_and_not_read(redis_server: RedisServer, path: str) -> None:
    body = b'{"type": "sum:add", "data": {"a": "' + b"1" * 50 * MEBIBYTE + b'"}}'
    stream = Counted(body)
    answer = post(b"", path, CONTENT_LENGTH=len(body), **{"wsgi.input": stream})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "2621440 bytes" in answer.json()["detail"]
    assert stream.taken < 3 * MEBIBYTE
    assert is_empty(redis_server)


def test_the_project_says_how_much_is_read(redis_server: RedisServer, settings: Settings) -> None:
    body = b'{"type": "sum:add", "data": {"a": 1}' + b" " * 2000 + b"}"
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = post(body)
    assert (answer.status_code, answer.json()["detail"]) == (413, "A body may have 1000 bytes.")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    assert post(body).status_code == 201


def test_a_body_that_nobody_has_touched_is_read_to_its_bound(settings: Settings) -> None:
    """As where no middleware asks for it: the REST framework then reads the stream itself."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    stream = Counted(b" " * MEBIBYTE)
    with pytest.raises(Problem):
        BoundedJSONParser().parse(stream)
    assert stream.taken == 1001


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"\xff\xfe", b'{"type": NaN}', b"9" * 5000, b"[]"],
)
def test_what_is_no_json_of_ours_is_refused(redis_server: RedisServer, body: bytes) -> None:
    answer = post(body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert is_empty(redis_server)


def test_wherever_a_body_is_read_the_document_says_that_it_may_be_too_long(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    made, refused = document()["paths"], set()
    for route in ROUTES:
        path = ROOT + re.sub(r"<[^>]+>", "1", route.pattern)
        answer = client().generic(route.method, path, " " * 1001, "application/json")
        described = made[template(route)][route.method.lower()]
        assert str(answer.status_code) in described["responses"], (route, answer.status_code)
        assert ("requestBody" in described) == ("413" in described["responses"]), route
        if answer.status_code == 413:
            refused.add(route.pattern)
    assert {"jobs/", "jobs/batch/", "pause/", "recovery-runs/", "fallback/drain/"} <= refused
