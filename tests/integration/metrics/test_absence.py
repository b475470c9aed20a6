"""What a scrape says while a store is away, and in what time."""

from __future__ import annotations

import pytest
from django.db import connection
from pytest_django import Settings

from django_resilient_queue.metrics import answers
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.conftest import WaitUntil
from tests.enqueueing import AWAY, least_seconds, queue, take_away
from tests.health import address, live_worker
from tests.integration.metrics.scrape import Scrape
from tests.jobs import succeed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.mark.parametrize("how", AWAY)
def test_without_redis_its_part_is_absent_and_the_rest_is_there(
    redis_server: RedisServer, how: str
) -> None:
    live_worker()
    take_away(redis_server, how)
    scrape = Scrape.once()
    assert scrape("drq_up", store="redis", server=address()) == 0
    assert scrape("drq_up", store="database", server="") == 1
    assert scrape("drq_scrape_seconds", store="redis", server=address()) is None
    assert set(scrape.of("drq_queue_jobs", "backend")) == {"database"}
    assert scrape("drq_queue_workers", queue="low") == 1


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_without_the_database_its_part_is_absent_and_the_rest_is_there(
    database_server: ServerProcess, how: str
) -> None:
    queue().enqueue(succeed, 1)
    getattr(database_server, how)()
    scrape = Scrape.once()
    assert scrape("drq_up", store="database", server="") == 0
    assert scrape("drq_up", store="redis", server=address()) == 1
    assert set(scrape.of("drq_queue_jobs", "backend")) == {"redis"}
    assert "drq_jobs_drained_total" not in scrape.names()
    assert "drq_outage_open" not in scrape.names()


@pytest.mark.alone
def test_two_frozen_stores_cost_less_than_a_second(
    database_server: ServerProcess, redis_server: RedisServer
) -> None:
    database_server.freeze()
    redis_server.freeze()
    assert least_seconds(Scrape.once) < 1
    assert Scrape.once().names() == {"drq_up", "drq_circuit_state"}


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole", "unreachable", "hold"])
def test_a_failing_network_costs_less_than_a_second(behind_proxy: FaultyProxy, fault: str) -> None:
    getattr(behind_proxy, fault)()
    assert least_seconds(Scrape.once) < 1


def test_the_database_is_seen_again_when_it_is_back(
    database_server: ServerProcess, settings: Settings, wait_until: WaitUntil
) -> None:
    connection.settings_dict["CONN_MAX_AGE"] = 60
    try:
        Scrape()
        assert len(answers._spare._idle) == 1
        database_server.kill()
        assert Scrape.once()("drq_up", store="database", server="") == 0
        database_server.start()
        wait_until(lambda: Scrape.once()("drq_up", store="database", server="") == 1)
        # Its connection is one from before, which the next scrape must not fall for.
        database_server.kill()
        database_server.start()
        assert Scrape.once()("drq_up", store="database", server="") == 1
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = 0
        answers._spare.close()
