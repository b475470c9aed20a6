"""A paused queue stays paused through an outage and after it, in either store."""

from __future__ import annotations

import django_rq

from django_resilient_queue import pause_all, pause_queue, resume_all, resume_queue
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis

QUEUES = ("high", "default")


def test_a_paused_queue_waits_while_another_is_worked_on(stage: Stage) -> None:
    pause_queue("high")
    django_rq.get_queue("high").enqueue(jobs.record, stage.path, "paused")
    stage.worker(*QUEUES)
    for number in "12":
        django_rq.enqueue(jobs.record, stage.path, number)
        stage.until_lines(*"12"[: int(number)])
    resume_queue("high")
    stage.until_lines("1", "2", "paused")


def test_a_worker_begins_nothing_once_all_are_paused(stage: Stage) -> None:
    stage.worker(*QUEUES)
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    stage.until_lines("begin one")
    pause_all()
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.open(stage.gate())
    stage.until_lines("begin one", "one")
    resume_all()
    stage.until_lines("begin one", "one", "two")


@in_redis
def test_a_queue_stays_paused_when_redis_dies_and_when_it_comes_back_empty(stage: Stage) -> None:
    stage.worker(*QUEUES)
    stage.until_worker_uses("redis")
    pause_queue("high")
    high = django_rq.get_queue("high")
    high.enqueue(jobs.record, stage.path, "before")
    stage.redis.kill()
    stage.until_worker_uses("database")
    django_rq.enqueue(jobs.record, stage.path, "during")
    stage.until_lines("during")
    stage.redis.start()
    stage.until_worker_uses("redis")
    django_rq.enqueue(jobs.record, stage.path, "after")
    stage.until_lines("during", "after")
    resume_queue("high")
    stage.until_lines("during", "after", "before")
