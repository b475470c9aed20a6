"""The overview while Redis, or the database as well, is away."""

from __future__ import annotations

import time

import pytest
from django.urls import reverse
from pytest_django import Settings

from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.facts.history import SPANS
from example_project.servers import RedisServer, ServerProcess
from tests.clients import client_of
from tests.conftest import WaitUntil
from tests.enqueueing import AWAY, bring_back, take_away
from tests.health import live_worker
from tests.integration.overview.screen import NAME, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.mark.alone
@pytest.mark.parametrize("how", AWAY)
@pytest.mark.parametrize("name", ["changelist", "live"])
def test_no_page_waits_for_redis(
    redis_server: RedisServer, settings: Settings, how: str, name: str, wait_until: WaitUntil
) -> None:
    """Half a second, however long enqueues may wait; and it says so."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "ENQUEUE_TIMEOUT": 5}
    live_worker()
    client = client_of("view_overview")

    def get() -> tuple[str, float]:
        sharing.reset()
        began = time.perf_counter()
        answer = client.get(reverse(f"{NAME}_{name}"))
        return answer.text, time.perf_counter() - began

    def get_without_redis() -> float:
        take_away(redis_server, how)
        text, took = get()
        words = "refuses connections" if how == "killed" else "does not answer"
        assert f"Degraded: Redis {words} since" in text
        bring_back(redis_server, how)
        wait_until(lambda: "Degraded: Redis" not in get()[0])
        return took

    usual = min(get()[1] for _ in range(5))
    # The least of some: on a busy machine anything may take long once.
    assert min(get_without_redis() for _ in range(3)) - usual < 0.5


def test_what_only_redis_knows_is_marked(redis_server: RedisServer) -> None:
    live_worker()
    redis_server.kill()
    assert "≥ 0" in page(client_of("view_overview"))


def test_the_stores_may_go_one_after_the_other(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    """The page needs the database to know who asks; its parts can do without it."""
    live_worker()
    database_server.kill()
    found = sharing.snapshot()
    assert found.tables.outages is None
    assert not found.report.database.is_up
    assert sharing.history_of(SPANS["hour"]) is None
