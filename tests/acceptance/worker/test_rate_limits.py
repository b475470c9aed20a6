"""What frees the slot of a rate limit, and what has to wait for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import django_rq
import pytest
from rq import Retry
from rq.command import send_stop_job_command
from rq.rate_limit import RateLimit

from django_resilient_queue.job_info import JobState
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis

LIMIT = RateLimit("api", concurrency=1)


@pytest.mark.parametrize(
    "function",
    [jobs.record_and_fail, jobs.record_and_kill_own_process, jobs.record_and_exit],
)
def test_a_job_that_dies_frees_its_slot(stage: Stage, function: Callable[..., object]) -> None:
    django_rq.enqueue(function, stage.path, "dies", rate_limit=LIMIT)
    django_rq.enqueue(jobs.record, stage.path, "next", rate_limit=LIMIT)
    stage.worker()
    stage.until_lines("dies", "next")


@in_redis
def test_a_job_that_is_stopped_frees_its_slot(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600, rate_limit=LIMIT)
    django_rq.enqueue(jobs.record, stage.path, "next", rate_limit=LIMIT)
    stage.worker()
    stage.until_lines("begin one")

    send_stop_job_command(job.connection, job.id)
    stage.until_lines("begin one", "next")


def test_a_job_that_waits_for_its_next_attempt_holds_no_slot(stage: Stage) -> None:
    job = django_rq.enqueue(
        jobs.record_and_fail,
        stage.path,
        "fails",
        rate_limit=LIMIT,
        retry=Retry(max=1, interval=3600),
    )
    django_rq.enqueue(jobs.record, stage.path, "next", rate_limit=LIMIT)
    stage.worker()

    stage.until_lines("fails", "next")
    assert stage.state(job.id) == JobState.DELAYED


def test_a_retry_of_a_limited_job_waits_for_a_slot(stage: Stage) -> None:
    job = django_rq.enqueue(
        jobs.record_and_fail_at_first,
        stage.path,
        "fails",
        rate_limit=LIMIT,
        retry=Retry(max=1, interval=3600),
    )
    holder = (jobs.record_when_released, stage.path, "holds", stage.gate())
    django_rq.enqueue(*holder, rate_limit=LIMIT)
    stage.worker()
    stage.until_lines("fails", "begin holds")
    stage.worker()

    # Due after the retry, and free to run.
    stage.make_due(job.id)
    django_rq.get_queue().enqueue_in(timedelta(seconds=2), jobs.record, stage.path, "free")
    stage.until_lines("fails", "begin holds", "free")
    stage.open(stage.gate())
    stage.until_lines("fails", "begin holds", "free", "holds", "fails")


def test_a_scheduled_job_of_a_limit_waits_for_a_slot_once_it_is_due(stage: Stage) -> None:
    holder = (jobs.record_when_released, stage.path, "holds", stage.gate())
    django_rq.enqueue(*holder, rate_limit=LIMIT)
    stage.worker()
    stage.until_lines("begin holds")
    stage.worker()

    queue = django_rq.get_queue()
    due = timedelta(seconds=1)
    queue.enqueue_in(due, jobs.record, stage.path, "limited", rate_limit=LIMIT)
    queue.enqueue_in(2 * due, jobs.record, stage.path, "free")
    stage.until_lines("begin holds", "free")
    stage.open(stage.gate())
    stage.until_lines("begin holds", "free", "holds", "limited")


def test_a_job_whose_result_is_not_kept_frees_its_slot(stage: Stage) -> None:
    for value in ("one", "two"):
        django_rq.enqueue(jobs.record, stage.path, value, rate_limit=LIMIT, result_ttl=0)
    stage.worker()
    stage.until_lines("one", "two")


@in_redis
def test_a_job_that_cannot_be_read_keeps_no_slot_from_the_others(stage: Stage) -> None:
    with stage.redis.client() as client:
        for number in range(5):
            limit = RateLimit(f"api-{number}", concurrency=1)
            bad = django_rq.enqueue(jobs.record, stage.path, "bad", rate_limit=limit)
            client.hset(bad.key, "created_at", "spoilt")
        for value in ("one", "two"):
            django_rq.enqueue(jobs.record, stage.path, value, rate_limit=LIMIT)
        stage.worker()
        stage.until(lambda: {"one", "two"} <= set(stage.lines))
        stage.until(lambda: client.scard("drq:followups") == 0)
