"""Jobs that run later, again, or both: each at its time, in either store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from rq import Callback, Repeat, Retry
from rq.job import Job

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, WorkerHeartbeat
from tests import jobs
from tests.acceptance.worker.stage import Stage

HOUR = 3600
# The first interval passes, the second is seen to be another.
INTERVALS = [1, HOUR]


def until_due_in_an_hour(stage: Stage, job: Job) -> None:
    def due_at() -> float:
        if stage.mode == "redis":
            return float(job.connection.zscore("rq:scheduled:default", job.id) or 0)
        row = stage.row(job.id)
        return row.due_at.timestamp() if row else 0

    stage.until(lambda: due_at() > time.time() + HOUR / 2)
    assert stage.state(job.id) == JobState.DELAYED


def test_each_retry_after_an_error_waits_for_an_interval_of_its_own(stage: Stage) -> None:
    retry = Retry(max=2, interval=INTERVALS)
    job = django_rq.enqueue(jobs.record_and_fail, stage.path, "one", retry=retry)
    stage.worker()
    until_due_in_an_hour(stage, job)
    assert stage.lines == ["one", "one"]


def test_each_returned_retry_waits_for_an_interval_of_its_own(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_and_return_retry, stage.path, "one", 2, INTERVALS)
    stage.worker()
    until_due_in_an_hour(stage, job)
    assert stage.lines == ["one", "one"]


def test_each_repeat_waits_for_an_interval_of_its_own(stage: Stage) -> None:
    repeat = Repeat(times=2, interval=INTERVALS)
    job = django_rq.enqueue(jobs.record, stage.path, "one", repeat=repeat)
    stage.worker()
    until_due_in_an_hour(stage, job)
    assert stage.lines == ["one", "one"]


def test_a_job_that_succeeds_at_its_second_attempt_is_completed_and_no_letter(
    stage: Stage,
) -> None:
    job = django_rq.enqueue(
        jobs.record_and_fail_at_first,
        stage.path,
        "one",
        retry=Retry(max=3),
        on_failure=Callback(jobs.note_failure),
        on_success=Callback(jobs.note_success),
    )
    stage.worker()

    stage.until_lines("one", "failure on purpose", "one", "success None")
    stage.until_state(job.id, JobState.COMPLETED)
    assert not DeadLetter.objects.exists()


def by_interval(path: str) -> Any:
    return django_rq.get_queue().enqueue_in(timedelta(seconds=3), jobs.record_time, path)


def by_moment(path: str) -> Any:
    due = datetime.now(UTC) + timedelta(seconds=3)
    return django_rq.get_queue().enqueue_at(due, jobs.record_time, path)


@pytest.mark.parametrize("schedule", [by_interval, by_moment])
def test_a_job_that_is_due_later_waits_and_then_runs_once(
    stage: Stage, schedule: Callable[[str], Job]
) -> None:
    for _ in range(2):
        stage.worker()
    stage.until(lambda: WorkerHeartbeat.objects.filter(mode=stage.mode).count() == 2)
    due = time.time() + 3
    job = schedule(stage.path)

    stage.until_state(job.id, JobState.COMPLETED)
    (ran_at,) = stage.lines
    assert float(ran_at) >= int(due)  # rq keeps whole seconds, cut off


def test_a_job_that_was_due_while_no_worker_was_there_runs_at_once(stage: Stage) -> None:
    due = datetime.now(UTC) - timedelta(hours=1)
    django_rq.get_queue().enqueue_at(due, jobs.record, stage.path, "late")
    stage.worker()
    stage.until_lines("late")


def test_a_scheduled_job_may_have_retries_and_a_repeat(stage: Stage) -> None:
    django_rq.get_queue().enqueue_in(
        timedelta(seconds=1),
        jobs.record_and_fail_at_first,
        stage.path,
        "one",
        retry=Retry(max=1),
        repeat=Repeat(times=1),
    )
    stage.worker()
    stage.until_lines("one", "one", "one")


def test_a_job_may_enqueue_another(stage: Stage) -> None:
    django_rq.enqueue(jobs.enqueue_another, stage.path, "another")
    stage.worker()
    stage.until_lines("another")
