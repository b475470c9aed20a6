"""A unique job is there once: while it waits, while it runs, and as long as rq knows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_rq
import pytest
from rq.exceptions import DuplicateJobError
from rq.job import Job

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_database, in_redis


def enqueue_only(stage: Stage, function: Callable[..., Any] = jobs.record, **options: Any) -> Job:
    values = [stage.gate()] if function is jobs.record_when_released else []
    return django_rq.get_queue().enqueue(
        function, stage.path, "one", *values, job_id="only", unique=True, **options
    )


def test_a_unique_job_is_refused_while_it_waits_runs_and_is_kept(stage: Stage) -> None:
    enqueue_only(stage, jobs.record_when_released)
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)
    stage.worker()
    stage.until_lines("begin one")
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)

    stage.open(stage.gate())
    stage.until_state("only", JobState.COMPLETED)
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)
    django_rq.enqueue(jobs.record, stage.path, "next")
    stage.until_lines("begin one", "one", "next")


def test_a_unique_job_of_which_nothing_is_kept_may_come_again(stage: Stage) -> None:
    for times in (1, 2):
        enqueue_only(stage, result_ttl=0)
        # One that was there already might take a row that Redis may hold, and keep it for Redis.
        stage.worker(options=["--burst"])
        stage.until_lines(*["one"] * times)
        stage.until(lambda: get_job("only") is None)


@in_redis
def test_a_unique_job_that_is_dead_is_refused_as_long_as_rq_keeps_it(stage: Stage) -> None:
    job = enqueue_only(stage, jobs.record_and_fail)
    stage.worker()
    stage.letter()
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)

    job.delete()
    enqueue_only(stage)
    stage.until_lines("one", "one")


@in_database
def test_a_unique_job_of_an_outage_is_refused_after_the_way_back(stage: Stage) -> None:
    enqueue_only(stage)
    stage.redis.start()
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)
    stage.worker("low")  # drains the row, and does not run the job
    with stage.redis.client() as client:
        stage.until(lambda: client.exists("rq:job:only"))
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)

    stage.worker()
    stage.until_lines("one")
    stage.until(lambda: stage.row("only") is None)
    with pytest.raises(DuplicateJobError):
        enqueue_only(stage)
