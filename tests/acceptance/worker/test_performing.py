"""What a worker does with a job that succeeds, from either store."""

from __future__ import annotations

import django_rq
from rq.job import Job, JobStatus

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_database, in_redis


def test_a_job_runs_once_and_is_completed(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "one")
    stage.worker()

    stage.until_state(job.id, JobState.COMPLETED)
    found = get_job(job.id)
    assert found is not None
    assert found.backend == stage.mode
    assert stage.lines == ["one"]


def test_a_job_knows_the_store_that_it_was_claimed_from(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_own_store, stage.path)
    stage.worker()
    stage.until_lines(stage.mode)


def test_meta_can_be_read_while_the_job_runs_and_after_it(stage: Stage) -> None:
    gate = stage.gate()
    job = django_rq.enqueue(jobs.record_twice_own_meta, stage.path, gate)
    stage.worker()

    def meta() -> object:
        found = get_job(job.id)
        return found and (found.state, found.meta)

    stage.until(lambda: meta() == (JobState.ACTIVE, {"step": "half"}))
    stage.open(gate)
    stage.until(lambda: meta() == (JobState.COMPLETED, {"step": "whole"}))


def test_a_job_may_ask_what_is_known_of_it(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_what_it_is_told_of_itself, stage.path)
    stage.worker()
    stage.until_lines("changed", "saved", "saved True started")


def test_jobs_run_in_the_order_of_the_queues_and_of_their_age(stage: Stage) -> None:
    for name in ("low", "default", "high", "low", "high"):
        django_rq.get_queue(name).enqueue(jobs.record, stage.path, name)
    stage.worker("high", "default", "low")
    stage.until_lines("high", "high", "default", "low", "low")


def test_a_job_enqueued_at_the_front_runs_before_older_ones(stage: Stage) -> None:
    django_rq.enqueue(jobs.record, stage.path, "first in")
    django_rq.enqueue(jobs.record, stage.path, "in a hurry", at_front=True)
    stage.worker()
    stage.until_lines("in a hurry", "first in")


def test_a_worker_leaves_queues_alone_that_it_was_not_started_for(stage: Stage) -> None:
    other = django_rq.get_queue("low").enqueue(jobs.record, stage.path, "low")
    django_rq.enqueue(jobs.record, stage.path, "default")
    stage.worker("default", options=["--burst"]).wait()

    assert stage.lines == ["default"]
    assert stage.state(other.id) == JobState.WAITING


def test_one_horse_performs_many_jobs_and_is_replaced_after_its_share(stage: Stage) -> None:
    for _ in range(5):
        django_rq.enqueue(jobs.record_own_pid, stage.path)
    stage.worker(settings={"HORSE_MAX_JOBS": 2})

    stage.until(lambda: len(stage.lines) == 5)
    a, b, c = dict.fromkeys(stage.lines)
    assert stage.lines == [a, a, b, b, c]


@in_redis
def test_the_result_is_where_rq_looks_for_it(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.succeed, {"sum": 42})
    stage.worker()

    stage.until(lambda: job.get_status() == JobStatus.FINISHED)
    assert job.return_value(refresh=True) == {"sum": 42}
    assert job.id in finished_ids(job)


@in_database
def test_the_result_of_an_outage_is_where_rq_looks_for_it_once_redis_is_back(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.succeed, {"sum": 42})
    stage.worker()
    stage.until_state(job.id, JobState.COMPLETED)

    stage.redis.start()
    stage.until(lambda: Job.exists(job.id, connection=job.connection))
    stage.until(lambda: job.get_status() == JobStatus.FINISHED)
    assert job.return_value(refresh=True) == {"sum": 42}
    assert job.id in finished_ids(job)


def test_a_result_that_pickle_refuses_does_not_fail_the_job(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.return_what_pickle_refuses)
    stage.worker()
    stage.until_state(job.id, JobState.COMPLETED)


def test_a_job_whose_result_is_not_wanted_leaves_nothing_behind(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "one", result_ttl=0)
    stage.worker()

    stage.until_lines("one")
    stage.until(lambda: get_job(job.id) is None)


def finished_ids(job: Job) -> list[str]:
    return list(django_rq.get_queue(job.origin).finished_job_registry.get_job_ids())
