"""The API is what its OpenAPI document says, whatever a client sends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django.live_server_helper import LiveServer
from pytest_django import Settings

from django_resilient_queue import job_handler
from django_resilient_queue.api.fields import Text, Whole
from django_resilient_queue.api.forms import Strict
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.queues import get_queue
from example_project.servers import RedisServer
from tests.exploration import explore
from tests.integration.api.test_letters import dead
from tests.integration.api.types import add, note
from tests.jobs import succeed


class Sum(Strict):
    a = Whole(min_value=0, max_value=1000)
    b = Whole(default=1, min_value=-1000, max_value=1000)
    note = Text(max_length=20, required=False)


@pytest.fixture
def _types() -> Iterator[None]:
    """Types whose schemas say all that is asked of a payload: what fits them is accepted."""
    registry.discover()
    before = dict(registry._found)
    registry._found.clear()
    job_handler("sum:add", schema=Sum)(add)
    job_handler("note:write", concurrency=1)(note)
    yield
    registry._found = before


@pytest.mark.usefixtures("_types")
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(1500)
def test_schemathesis_finds_nothing(
    redis_server: RedisServer, live_server: LiveServer, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_TIMEOUT": 30}
    for n in range(60):
        dead(f"dead-{n}")
        dead(f"note-{n}", "note:write")
        get_queue("default").enqueue(succeed, n, job_id=f"job-{n}")
    start_run(Selection(), reason="r", by="ann")
    print("letters", DeadLetter.objects.order_by("pk").values_list("pk", flat=True))
    found = explore(
        live_server.url,
        seed=int(os.environ.get("SEED", "1")),
        examples=int(os.environ.get("EXAMPLES", "10")),
        seconds=int(os.environ.get("SECONDS_", "90")),
    )
    print(*[(f"{k}") for k in found.failures], sep="\n"); print(found.phases, found.checks)
    for k, v in sorted(found.calls.items()):
        print(k, v, {s: c for (l, s), c in sorted(found.statuses.items()) if l == k})
    print("FOUND", len(found.failures), len(found.errors))
    assert not str(found), str(found)
