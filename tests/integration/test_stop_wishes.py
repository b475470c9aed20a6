"""Asking a worker by its row to stop a job: one wish at a time, none lost, none for another."""

from __future__ import annotations

import pytest

from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.models import WorkerHeartbeat
from django_resilient_queue.recovery.cancelling import Cancelled, cancel
from django_resilient_queue.stores.watch import Watch
from example_project.servers import RedisServer
from tests import rows
from tests.enqueueing import queue
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _workers() -> None:
    rows.make_worker("busy", in_flight=[["one", "t-1"], ["two", "t-2"]])
    rows.make_worker("idle", in_flight=[])


def wish_of(name: str) -> str:
    watch = Watch("default", "b", name, lease=lambda: 10.0)
    watch.look()
    return watch.job_to_stop


def test_the_worker_that_has_the_job_reads_it_and_no_other() -> None:
    assert WorkerHeartbeat.objects.ask_to_stop_job("one")
    assert (wish_of("busy"), wish_of("idle")) == ("t-1:one", "")


def test_a_wish_may_be_repeated_and_another_waits_until_it_was_heard() -> None:
    workers = WorkerHeartbeat.objects.all()
    assert workers.ask_to_stop_job("one")
    assert workers.ask_to_stop_job("one")
    assert workers.ask_to_stop_job("two") is False
    workers.heard("busy", "t-1:another")
    assert wish_of("busy") == "t-1:one"
    workers.heard("busy", "t-1:one")
    assert workers.ask_to_stop_job("two")
    assert wish_of("busy") == "t-2:two"


def test_the_live_holder_is_asked_though_a_dead_one_says_that_it_has_the_job_too() -> None:
    rows.make_worker("another", in_flight=[["one", "t-9"]])
    assert WorkerHeartbeat.objects.ask_to_stop_job("one")
    assert (wish_of("busy"), wish_of("another")) == ("t-1:one", "t-9:one")


def test_nobody_is_asked_for_a_job_that_nobody_has() -> None:
    assert WorkerHeartbeat.objects.ask_to_stop_job("three") is None
    assert not WorkerHeartbeat.objects.exclude(job_to_stop="").exists()


def test_with_redis_away_the_holder_is_asked_only_on_demand(redis_server: RedisServer) -> None:
    queue().enqueue(succeed, 1, job_id="one")
    redis_server.kill()
    with pytest.raises(StoreError):
        cancel("one")
    assert wish_of("busy") == ""
    assert cancel("one", running=True) is Cancelled.STOPPING
    assert wish_of("busy") == "t-1:one"
