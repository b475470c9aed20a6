"""The API is what its OpenAPI document says, whatever a client sends.

For a long look by hand: ``DRQ_TEST_SECONDS=600 DRQ_TEST_EXAMPLES=50 DRQ_TEST_SEED=7``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from django_resilient_queue import job_handler
from django_resilient_queue.api.fields import Text, Whole
from django_resilient_queue.api.forms import Strict
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.queues import get_queue
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import Selection
from example_project.servers import RedisServer
from tests.exploration import SUBMITTING, explore
from tests.integration.api.test_letters import dead
from tests.integration.api.types import add, note
from tests.jobs import succeed

SEED = int(os.environ.get("DRQ_TEST_SEED", "1"))
EXAMPLES = int(os.environ.get("DRQ_TEST_EXAMPLES", "0"))
# Of a phase, on a machine that has others to serve.
SECONDS = int(os.environ.get("DRQ_TEST_SECONDS", "40"))
# Coverage asks for what is worth asking, however many examples are wanted.
AS_A_RULE = {("examples", "coverage"): 1, ("fuzzing",): 5, ("stateful",): 8}

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(SECONDS + 260),
]


class Sum(Strict):
    """Says all that is asked of a payload."""

    a = Whole(min_value=0, max_value=1000)
    b = Whole(default=1, min_value=-1000, max_value=1000)
    note = Text(max_length=20, required=False)


@pytest.fixture
def _described_types() -> Iterator[None]:
    """Types that accept what fits their schemas."""
    registry.discover()
    before = dict(registry._found)
    registry._found.clear()
    job_handler("sum:add", schema=Sum)(add)
    job_handler("note:write", concurrency=1)(note)
    yield
    registry._found = before


@pytest.fixture
def address(redis_server: RedisServer, live_server: LiveServer, settings: Settings) -> str:
    """A server with something of each kind in its stores."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_TIMEOUT": 30}
    for number in range(60):
        dead(f"dead-{number}")
        dead(f"note-{number}", "note:write")
        get_queue("default").enqueue(succeed, number, job_id=f"job-{number}")
    start_run(Selection(handler="sum:add"), by="ann")
    return str(live_server.url)


@pytest.mark.usefixtures("_described_types")
@pytest.mark.parametrize("phases", AS_A_RULE, ids="-".join)
def test_schemathesis_finds_nothing(address: str, phases: tuple[str, ...]) -> None:
    examples = EXAMPLES or AS_A_RULE[phases]
    found = explore(address, phases=phases, seed=SEED, examples=examples, seconds=SECONDS)
    assert not str(found), str(found)
    assert found.calls.total() > 100
    assert set(found.phases) >= set(phases[-1:])


def test_schemathesis_finds_nothing_in_what_shipped_types_answer(address: str) -> None:
    found = explore(
        address,
        phases=("examples", "coverage", "fuzzing"),
        seed=SEED,
        examples=EXAMPLES or 10,
        seconds=SECONDS,
        only=SUBMITTING,
        payloads_are_described=False,
    )
    assert not str(found), str(found)
    assert found.calls.total() > 100
    assert len(found.calls) == len(SUBMITTING)
