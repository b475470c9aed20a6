"""Draining by whoever asks for it, beside the workers that do it by themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from pytest_django import Settings

from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.recovery import drain, pushing
from django_resilient_queue.recovery.drain import Drained, drain_now
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.conftest import load_scripts, reset_process_state
from tests.enqueueing import least_seconds, queue
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)


def store(count: int, redis_server: RedisServer) -> None:
    """Enqueue while Redis is away, which comes back then."""
    redis_server.kill()
    for number in range(count):
        queue().enqueue(succeed, number)
    assert states() == {State.READY: count}
    redis_server.start()
    load_scripts(redis_server)
    reset_process_state()


def states() -> dict[str, int]:
    found = list(FallbackJob.objects.values_list("state", flat=True))
    return {state: found.count(state) for state in set(found)}


def test_it_pushes_what_is_stored(redis_server: RedisServer, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"DRAIN_BATCH": 4}
    store(10, redis_server)
    assert drain_now() == Drained(10)
    assert states() == {State.DISPATCHED: 10}
    assert queue().count == 10
    assert drain_now() == Drained(0)


def test_of_many_who_drain_each_job_is_pushed_by_one(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"DRAIN_BATCH": 3}
    store(40, redis_server)
    together = Barrier(4)

    def run(_: int) -> int:
        together.wait()
        try:
            return drain_now(10).count
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 40
    assert queue().count == len(set(queue().job_ids)) == 40


def test_it_says_that_redis_is_away_and_leaves_the_rows(redis_server: RedisServer) -> None:
    store(2, redis_server)
    redis_server.kill()
    with pytest.raises(StoreError):
        drain_now()
    assert states() == {State.READY: 2}


@pytest.fixture
def killed_after_a_batch(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> None:
    """Redis dies when the second batch is about to be pushed."""
    decided: list[list[FallbackJob]] = []

    def decide_ready(*args: Any) -> list[FallbackJob]:
        rows = decide(*args)
        decided.append(rows)
        if len(decided) == 2:
            redis_server.kill()
        return rows

    decide = pushing.decide_ready
    monkeypatch.setattr(drain, "decide_ready", decide_ready)


def test_it_says_what_went_though_redis_died_over_it(
    redis_server: RedisServer, settings: Settings, killed_after_a_batch: None
) -> None:
    settings.RESILIENT_QUEUE = {"DRAIN_BATCH": 2}
    store(6, redis_server)
    drained = drain_now()
    assert drained.count == 2
    assert drained.stopped_by is not None
    assert drained.stopped_by.store == "redis"
    assert FallbackJob.objects.filter(redis_copy=False).count() == 4


def test_it_says_what_went_though_the_database_died_over_it(
    redis_server: RedisServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    database_server: ServerProcess,
) -> None:
    settings.RESILIENT_QUEUE = {"DRAIN_BATCH": 2}
    store(6, redis_server)

    def push_rows(*args: Any) -> pushing.Pushed:
        pushed = pushing.push_rows(*args)
        database_server.kill()
        return pushed

    monkeypatch.setattr(drain, "push_rows", push_rows)
    drained = drain_now()
    assert drained.count == 2
    assert drained.stopped_by is not None
    assert drained.stopped_by.store == "database"
    database_server.start()
    assert states() == {State.READY: 4, State.DISPATCHED: 2}


@pytest.fixture
def root(
    redis_server: RedisServer, settings: Settings, killed_after_a_batch: None, client: Client
) -> Client:
    """Who may drain the six jobs that are stored, of which two go."""
    settings.RESILIENT_QUEUE = {"DRAIN_BATCH": 2, "API_TIMEOUT": 30}
    store(6, redis_server)
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_each_who_asked_is_told_what_went_though_redis_died_over_it(
    root: Client, acts: list[dict[str, Any]]
) -> None:
    answer = root.post("/admin/django_resilient_queue/fallbackjob/drain/", follow=True)
    assert [message.level_tag for message in answer.context["messages"]] == ["success", "warning"]
    entries = [each.change_message for each in LogEntry.objects.order_by("pk")]
    assert entries == ["Drain now: ordered.", "2 jobs sent to Redis."]
    assert [(told["operation"], told["row"]) for told in acts] == [("drain", None)]


def test_the_api_tells_what_went_though_redis_died_over_it(root: Client) -> None:
    answer = root.post("/queue/api/fallback/drain/", content_type="application/json")
    assert answer.json() == {"drained": 2, "more": True, "stopped_by": "redis"}


@pytest.mark.alone
def test_it_does_not_wait_for_a_frozen_redis(redis_server: RedisServer) -> None:
    store(2, redis_server)

    def drain() -> None:
        with pytest.raises(StoreError):
            drain_now()

    with redis_server.frozen():
        assert least_seconds(drain) < 1
    assert states() == {State.READY: 2}


def test_a_push_without_an_answer_is_looked_for_later(
    redis_server: RedisServer, behind_proxy: FaultyProxy
) -> None:
    store(2, redis_server)
    behind_proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreError):
        drain_now()
    assert states() == {State.DISPATCHED: 2}
    assert all(FallbackJob.objects.values_list("redis_copy", flat=True))


@pytest.mark.alone
def test_it_waits_for_many_frozen_ones_no_longer_than_it_was_given(
    redis_server: RedisServer, settings: Settings
) -> None:
    config = settings.RQ_QUEUES["default"]
    settings.RQ_QUEUES = {str(number): {**config, "DB": number} for number in range(12)}
    reset_process_state()

    def drain() -> None:
        with suppress(StoreError):  # unless its time was over before the first was asked
            drain_now(0.4)

    with redis_server.frozen():
        assert least_seconds(drain) < 1
