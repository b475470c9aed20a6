"""Promises of what an outage of Redis costs: time for the operator, nothing for the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from django_resilient_queue.models import Outage
from django_resilient_queue.stores.links import script
from example_project.servers import FaultyProxy, RedisServer
from tests.acceptance.conftest import StartWorkers
from tests.acceptance.executions import Executions, modes
from tests.conftest import WaitUntil
from tests.jobs import record_slowly

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = 150
SENSITIVE = {"WORKER_TIMEOUT": 1}  # so that a frozen Redis is noticed before all is enqueued
Outages = Callable[[RedisServer], AbstractContextManager[None]]


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    """It comes back with nothing."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def killed_with_a_file(redis: RedisServer) -> Iterator[None]:
    """It comes back with all that it had."""
    with redis.client() as client:
        client.config_set("appendonly", "yes")
    redis.kill()
    yield
    redis.options["appendonly"] = "yes"
    redis.start()
    del redis.options["appendonly"]


@contextmanager
def frozen(redis: RedisServer) -> Iterator[None]:
    with redis.frozen():
        yield


@contextmanager
def out_of_memory(redis: RedisServer) -> Iterator[None]:
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def read_only(redis: RedisServer) -> Iterator[None]:
    with redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("outage", [killed, killed_with_a_file, frozen, out_of_memory, read_only])
def test_every_job_is_accepted_and_executed_once_through_an_outage(
    outage: Outages,
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    workers(settings=SENSITIVE)
    with executions.load(jobs=JOBS, rate=30.0) as load:
        executions.wait_for(20)
        with outage(redis_server):
            wait_until(lambda: modes() == ["database"] * 2)
            executions.wait_for(min(len(load.accepted) + 20, JOBS))
        wait_until(lambda: modes() == ["redis"] * 2)
    executions.assert_complete(load)
    assert Outage.objects.filter(ended_at=None).count() == 0


@pytest.mark.parametrize("outage", [killed, frozen])
def test_the_workers_report_the_outage_and_what_they_did_in_it(
    outage: Outages,
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    workers()
    with outage(redis_server):
        wait_until(lambda: modes() == ["database"] * 2)
        with executions.load(jobs=10) as load:
            executions.wait_for(10)
    wait_until(lambda: modes() == ["redis"] * 2)
    executions.assert_complete(load)
    # A worker that was still coming home may have ended the first report: then there are two.
    wait_until(lambda: sum(Outage.objects.values_list("jobs_executed", flat=True)) == 10)


@pytest.mark.parametrize("outage", [killed, frozen])
def test_jobs_run_when_redis_is_away_before_anyone_starts(
    outage: Outages,
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    with outage(redis_server):
        with executions.load(jobs=20) as load:
            workers(mode="database")
        executions.wait_for(20)
    wait_until(lambda: modes() == ["redis"] * 2)
    executions.assert_complete(load)


def test_a_backlog_survives_a_redis_that_comes_back_empty(
    workers: StartWorkers, executions: Executions, redis_server: RedisServer
) -> None:
    workers(1)
    with executions.load(jobs=60, rate=200, job=slowly) as load:
        executions.wait_for(5)
    redis_server.kill()
    redis_server.start()
    executions.assert_complete(load)


def test_a_backlog_survives_flushall(
    workers: StartWorkers, executions: Executions, redis_server: RedisServer
) -> None:
    workers(1)
    with executions.load(jobs=60, rate=200, job=slowly) as load:
        executions.wait_for(5)
    redis_server.flush()
    executions.assert_complete(load)


def slowly(path: str, number: int) -> None:
    """Slow enough for a backlog to form."""
    record_slowly(path, number, 0.05)


@pytest.mark.parametrize("every", [1, 3])
def test_a_submit_whose_reply_is_lost_runs_once(
    every: int, behind_proxy: FaultyProxy, workers: StartWorkers, executions: Executions
) -> None:
    workers(redis_port=behind_proxy.port)
    behind_proxy.drop_reply(script("push").sha.encode(), every=every)
    with executions.load(jobs=60) as load:
        executions.wait_for(30)
        assert behind_proxy.dropped
        behind_proxy.pass_through()
    executions.assert_complete(load)


def test_a_claim_whose_reply_is_lost_loses_no_job(
    behind_proxy: FaultyProxy, workers: StartWorkers, executions: Executions
) -> None:
    workers(redis_port=behind_proxy.port)
    behind_proxy.drop_reply(script("claim").sha.encode(), every=5)
    with executions.load(jobs=60) as load:
        executions.wait_for(60)
    assert behind_proxy.dropped
    behind_proxy.pass_through()
    executions.assert_complete(load)
