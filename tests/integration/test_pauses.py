"""Pausing queues: what is recorded, what Redis hears, and what happens when a store is away."""

from __future__ import annotations

import logging

import pytest
from django.db import transaction

import django_resilient_queue as front
from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.models import PausedQueue
from example_project.servers import RedisServer, ServerProcess
from tests.enqueueing import least_seconds

pytestmark = pytest.mark.django_db(transaction=True)


def told(server: RedisServer) -> set[bytes]:
    """What this Redis's workers do not claim from."""
    with server.client() as client:
        return set(client.smembers("drq:paused"))


def test_a_pause_says_who_when_and_why(redis_server: RedisServer) -> None:
    assert front.pause_queue("high", reason="the mail server is full", by="ann")
    [pause] = front.paused_queues()
    assert (pause.queue_name, pause.reason, pause.paused_by) == (
        "high",
        "the mail server is full",
        "ann",
    )
    assert told(redis_server) == {b"high"}


def test_a_second_pause_changes_nothing(redis_server: RedisServer) -> None:
    front.pause_queue("high", by="ann")
    assert not front.pause_queue("high", by="bob")
    assert front.paused_queues()[0].paused_by == "ann"


def test_a_resume_says_whether_there_was_a_pause(redis_server: RedisServer) -> None:
    assert not front.resume_queue("high")
    front.pause_queue("high")
    assert front.resume_queue("high")
    assert front.paused_queues() == []
    assert told(redis_server) == set()


def test_only_what_changed_is_logged(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="django_resilient_queue")
    for call in (
        lambda: front.resume_queue("high"),
        front.resume_all,
        lambda: front.pause_queue("high"),
        lambda: front.pause_queue("high"),
        front.pause_all,
        front.pause_all,
        lambda: front.resume_queue("high"),
        lambda: front.resume_queue("high"),
        front.resume_all,
        front.resume_all,
    ):
        call()
    said = [record.getMessage().partition(" by=")[0] for record in caplog.records]
    assert said == [
        "queue paused queue=high",
        "queue paused queue=(all)",
        "queue resumed queue=high",
        "all queues resumed",
    ]


def test_the_pause_of_all_comes_first_and_ends_with_the_others(redis_server: RedisServer) -> None:
    front.pause_queue("critical")
    assert front.pause_all(reason="a migration")
    assert not front.pause_all()
    assert [str(pause) for pause in front.paused_queues()] == ["all queues", "critical"]
    assert told(redis_server) == {b"critical", b""}
    assert front.resume_all() == 2
    assert told(redis_server) == set()


def test_a_queue_that_there_is_not_is_named_with_those_that_there_are(
    redis_server: RedisServer,
) -> None:
    with pytest.raises(ValueError, match=r"no queue 'hihg' in RQ_QUEUES; there are: .*high"):
        front.pause_queue("hihg")
    assert not PausedQueue.objects.exists()


def test_a_queue_that_is_configured_no_more_can_be_resumed(redis_server: RedisServer) -> None:
    PausedQueue.objects.pause("gone", reason="", paused_by="")
    assert front.resume_queue("gone")


def test_a_pause_takes_effect_with_the_commit(redis_server: RedisServer) -> None:
    with transaction.atomic():
        front.pause_queue("high")
        assert told(redis_server) == set()
    assert told(redis_server) == {b"high"}


def test_a_pause_that_is_rolled_back_was_none(redis_server: RedisServer) -> None:
    with transaction.atomic():
        front.pause_queue("high")
        transaction.set_rollback(True)
    assert told(redis_server) == set()
    assert front.paused_queues() == []


def test_what_changes_nothing_is_not_logged(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django_resilient_queue")
    for change in (front.pause_all, front.resume_all) * 2:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
    assert caplog.messages == []
    for _ in range(2):
        front.pause_queue("high", by="ann")
    for change in (front.pause_all, front.resume_all):
        for _ in range(2):
            change()
    front.pause_queue("high")
    for _ in range(2):
        front.resume_queue("high")
    assert caplog.messages == [
        "queue paused queue=high by=ann",
        "queue paused queue=(all) by=",
        "all queues resumed",
        "queue paused queue=high by=",
        "queue resumed queue=high",
    ]


@pytest.mark.alone
def test_a_frozen_redis_delays_a_pause_by_no_more_than_an_enqueue(
    redis_server: RedisServer,
) -> None:
    redis_server.freeze()
    names = iter(("critical", "default", "high"))
    assert least_seconds(lambda: front.pause_queue(next(names))) < 1
    found = sorted(pause.queue_name for pause in front.paused_queues())
    assert found == ["critical", "default", "high"]


def test_with_the_database_away_nothing_is_paused(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    database_server.kill()
    with pytest.raises(StoreError):
        front.pause_queue("high")
    assert told(redis_server) == set()
