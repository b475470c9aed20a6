"""Many clients of a real server send the same request with the same key at the same time."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django.live_server_helper import LiveServer

from django_resilient_queue.models import FallbackJob, IdempotentRequest
from example_project.servers import RedisServer
from tests.enqueueing import queue
from tests.rest import EVERYTHING, ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
CLIENTS = 100
NO_ANSWER = 0  # is what a key is good for
SUM = {"type": "sum:add", "data": {"a": 1}}
HEADERS = {
    "Authorization": f"Visitor ann {EVERYTHING}",
    "Content-Type": "application/json",
    "Idempotency-Key": "once",
}


class Clients:
    """A hundred, who begin together."""

    def __init__(self, server: LiveServer) -> None:
        self.address = urlsplit(server.url).netloc
        self.statuses: Counter[int] = Counter()
        self._together = Barrier(CLIENTS)

    def send(self, path: str, body: Any) -> list[Any]:
        """Send it from each, again until it is answered; returns the answers."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda _: self._persist(path, body), range(CLIENTS)))

    def _persist(self, path: str, body: Any) -> Any:
        self._together.wait()
        while True:
            status, answer = self._call(path, body)
            self.statuses[status] += 1
            if status not in (409, 503, NO_ANSWER):
                return status, answer
            time.sleep(0.1)  # less than it is told to

    def _call(self, path: str, body: Any) -> tuple[int, Any]:
        connection = HTTPConnection(self.address, timeout=60)
        try:
            connection.request("POST", ROOT + path, json.dumps(body), HEADERS)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except ConnectionError:  # Django's server has a short queue of connections
            return NO_ANSWER, None
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("path", "body", "jobs"),
    [("jobs/", SUM, 1), ("jobs/batch/", {"jobs": [SUM, SUM, SUM]}, 3)],
    ids=["one job", "a batch"],
)
def test_a_hundred_requests_with_one_key_are_carried_out_once(
    redis_server: RedisServer, live_server: LiveServer, path: str, body: Any, jobs: int
) -> None:
    clients = Clients(live_server)
    answers = clients.send(path, body)
    assert {status for status, _ in answers} == {201}
    assert len({json.dumps(answer, sort_keys=True) for _, answer in answers}) == 1
    assert set(clients.statuses) <= {201, 409, 503, NO_ANSWER}
    assert FallbackJob.objects.count() == queue().count == jobs
    assert IdempotentRequest.objects.count() == 1


def test_the_same_while_redis_is_away(redis_server: RedisServer, live_server: LiveServer) -> None:
    redis_server.kill()
    answers = Clients(live_server).send("jobs/", SUM)
    assert {status for status, _ in answers} == {201}
    assert len({answer["id"] for _, answer in answers}) == 1
    assert FallbackJob.objects.count() == 1
