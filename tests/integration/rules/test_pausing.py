"""Redis's copy of what is paused: told before a worker claims there, and mended."""

from __future__ import annotations

import pytest

from django_resilient_queue import pause_queue, resume_queue
from django_resilient_queue.models import PausedQueue
from django_resilient_queue.recovery.pausing import correct_pauses
from example_project.servers import RedisServer
from tests.integration.rules.bench import Clock, DrivenWorker, enqueue


def correct(worker: DrivenWorker, clock: Clock) -> int:
    """Two looks, with more time between them than it takes to say a word to Redis."""
    first = correct_pauses(worker.station)
    clock.now += 1.5
    return first + correct_pauses(worker.station)


def test_a_redis_that_lost_everything_hears_of_pauses_before_a_worker_claims_there(
    ann: DrivenWorker, redis_server: RedisServer
) -> None:
    ann.lose_redis()
    pause_queue("default")
    with redis_server.client() as client:
        client.flushall()
    enqueue()
    ann.come_home()
    assert ann.claim() is None


@pytest.mark.parametrize("missed", ["pause", "resume"])
def test_a_word_that_redis_missed_is_made_good(
    ann: DrivenWorker, clock: Clock, redis_server: RedisServer, missed: str
) -> None:
    ann.come_home()
    enqueue()
    if missed == "pause":
        PausedQueue.objects.pause("default", reason="", paused_by="")
    else:
        pause_queue("default")
        PausedQueue.objects.resume("default")
    assert correct(ann, clock) == 1
    assert (ann.claim() is None) == (missed == "pause")


def test_a_pause_in_the_making_is_no_omission(
    ann: DrivenWorker, clock: Clock, redis_server: RedisServer
) -> None:
    ann.come_home()
    PausedQueue.objects.pause("default", reason="", paused_by="")
    assert correct_pauses(ann.station) == 0
    resume_queue("default")
    assert correct(ann, clock) == 0


def test_what_was_suspected_of_a_name_is_over_when_it_is_neither_here_nor_there(
    ann: DrivenWorker, clock: Clock, redis_server: RedisServer
) -> None:
    ann.come_home()
    with redis_server.client() as client:
        client.sadd("drq:paused", "default")
        assert correct_pauses(ann.station) == 0
        client.srem("drq:paused", "default")
        assert correct(ann, clock) == 0
        client.sadd("drq:paused", "default")
    assert correct_pauses(ann.station) == 0
    assert not [mark for mark in ann.station.suspicions.marks if mark[2]]
