"""rq's groups: their jobs go rq's way, through a pipeline of rq's own, to workers of ours."""

from __future__ import annotations

from typing import Any

import django_rq
import pytest
from rq.exceptions import NoSuchGroupError
from rq.group import Group
from rq.job import Job, JobStatus

from django_resilient_queue import get_queue
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import FallbackJob
from tests import jobs
from tests.acceptance.worker.stage import DATABASE, Stage, in_redis


def enqueue_group(stage: Stage, *values: str, **options: Any) -> Any:
    queue = get_queue()
    group = Group.create(queue.connection, name="mails")
    prepare = queue.prepare_data
    group.enqueue_many(queue, [prepare(jobs.record, (stage.path, v), **options) for v in values])
    return group


@in_redis
def test_the_jobs_of_a_group_run_and_stay_in_it(stage: Stage) -> None:
    group = enqueue_group(stage, "one", "two")
    stage.worker()

    stage.until_lines("one", "two")
    stage.until(lambda: {job.get_status() for job in group.get_jobs()} == {JobStatus.FINISHED})
    assert len(group.get_jobs()) == 2
    assert not FallbackJob.objects.exists()


@in_redis
def test_a_group_loses_jobs_of_which_nothing_is_kept(stage: Stage) -> None:
    group = enqueue_group(stage, "one", "two", result_ttl=0)
    stage.worker()
    stage.until_lines("one", "two")
    stage.until(lambda: group.get_jobs() == [])


@in_redis
def test_a_worker_clears_away_the_groups_whose_jobs_are_gone(stage: Stage) -> None:
    enqueue_group(stage, "one")
    with stage.redis.client() as client:
        for key in client.scan_iter("rq:job:*"):
            client.delete(key)
        stage.worker()
        stage.until(lambda: not client.exists("rq:groups"))
    with pytest.raises(NoSuchGroupError):
        Group.fetch("mails", django_rq.get_connection())


def test_a_job_knows_its_group_in_either_store(stage: Stage) -> None:
    queue = get_queue()
    data = queue.prepare_data(jobs.record, (stage.path, "one"))
    (job,) = queue.enqueue_many([data], group_id="mails")
    stage.worker()
    stage.until_lines("one")
    stage.until_state(job.id, JobState.COMPLETED)

    if stage.mode == DATABASE:
        stage.redis.start()
        stage.until(lambda: stage.row(job.id) is None)
    assert Job.fetch(job.id, job.connection).group_id == "mails"
