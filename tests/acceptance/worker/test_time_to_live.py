"""How long a job, its result and its failure are kept, and by whom."""

from __future__ import annotations

from datetime import timedelta

import django_rq
import pytest
from django.utils import timezone
from rq import Repeat, Retry
from rq.job import Job, JobStatus

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import FallbackJob
from tests import jobs
from tests.acceptance.worker.stage import DATABASE, Stage, in_redis

FOR_EVER = (-1, float("inf"))


def kept_in_redis(stage: Stage, job: Job, registry: str) -> tuple[float, float]:
    """Seconds that the job's hash has still to live, and until its registry forgets it."""
    with stage.redis.client() as client:
        asked = client.pipeline().time().zscore(f"rq:{registry}:default", job.id)
        asked = asked.pttl(job.key).pttl(f"rq:results:{job.id}")
        (now, _), score, alive, result_alive = asked.execute()  # one moment's
        assert score is not None
        assert abs(alive - result_alive) < 1000
        return alive if alive < 0 else alive / 1000, score if score < 0 else score - now


def until_redis_knows(stage: Stage, job: Job, status: JobStatus) -> None:
    if stage.mode == DATABASE:
        stage.redis.start()
        stage.until_worker_uses("redis")
    stage.until(lambda: Job.exists(job.id, connection=job.connection))
    stage.until(lambda: job.get_status() == status)


@pytest.mark.parametrize(("result_ttl", "least", "most"), [(900, 600, 900), (None, 400, 500)])
def test_a_result_is_kept_for_as_long_as_its_job_says_or_rq_by_default(
    stage: Stage, result_ttl: int | None, least: int, most: int
) -> None:
    job = django_rq.enqueue(jobs.succeed, 42, result_ttl=result_ttl)
    stage.worker()
    stage.until_state(job.id, JobState.COMPLETED)

    until_redis_knows(stage, job, JobStatus.FINISHED)
    alive, listed = kept_in_redis(stage, job, "finished")
    assert least < alive <= most
    assert least < listed <= most + 1
    assert job.return_value(refresh=True) == 42


def test_a_result_is_kept_for_ever_where_its_job_says_so(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.succeed, 42, result_ttl=-1)
    stage.worker()
    stage.until_state(job.id, JobState.COMPLETED)

    until_redis_knows(stage, job, JobStatus.FINISHED)
    assert kept_in_redis(stage, job, "finished") == FOR_EVER


AGES = 10**15  # seconds: longer than a date, a C int or Redis's clock can say


def test_times_that_no_store_can_say_end_no_worker(stage: Stage) -> None:
    """Of jobs as rq takes them: kept, tried again and repeated after ages."""
    kept = django_rq.enqueue(jobs.succeed, 42, result_ttl=AGES**2)
    died = django_rq.enqueue(jobs.fail, failure_ttl=AGES)
    again = django_rq.enqueue(jobs.fail, retry=Retry(max=1, interval=AGES))
    repeated = django_rq.enqueue(jobs.succeed, 42, repeat=Repeat(times=1, interval=AGES))
    last = django_rq.enqueue(jobs.succeed, 42)
    worker = stage.worker()
    stage.until_state(last.id, JobState.COMPLETED)
    stage.until_state(kept.id, JobState.COMPLETED)
    stage.until_state(died.id, JobState.DEAD)
    stage.until_state(again.id, JobState.DELAYED)
    stage.until_state(repeated.id, JobState.DELAYED)
    assert worker.is_running
    assert "trouble " not in worker.output


@in_redis
@pytest.mark.parametrize(
    ("failure_ttl", "least", "most"), [(900, 600, 900), (None, 364 * 86400, 365 * 86400)]
)
def test_a_failure_is_kept_for_as_long_as_its_job_says_or_rq_by_default(
    stage: Stage, failure_ttl: int | None, least: int, most: int
) -> None:
    job = django_rq.enqueue(jobs.fail, failure_ttl=failure_ttl)
    stage.worker()
    stage.letter()

    until_redis_knows(stage, job, JobStatus.FAILED)
    alive, listed = kept_in_redis(stage, job, "failed")
    assert least < alive <= most
    assert least < listed <= most + 1


@in_redis
def test_a_failure_is_kept_for_ever_where_its_job_says_so(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.fail, failure_ttl=-1)
    stage.worker()
    stage.letter()
    until_redis_knows(stage, job, JobStatus.FAILED)
    assert kept_in_redis(stage, job, "failed") == FOR_EVER


def test_a_job_that_has_outlived_its_ttl_is_not_run(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "late", ttl=1)
    django_rq.enqueue(jobs.record, stage.path, "next")
    if stage.mode == DATABASE:
        row = stage.row(job.id)
        assert row is not None
        row.created_at -= timedelta(seconds=2)
        row.save()
    else:
        stage.until(lambda: not Job.exists(job.id, connection=job.connection))
    stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, "expired")
    stage.until_lines("next")
    assert stage.row(job.id) is None


def test_a_job_that_has_begun_lives_on_past_its_ttl(stage: Stage) -> None:
    stage.worker()
    stage.until_worker_uses(stage.mode)
    job = django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate(), ttl=600)
    stage.until_lines("begin one")
    if stage.mode == DATABASE:
        FallbackJob.objects.update(created_at=timezone.now() - timedelta(seconds=601))
    else:
        with stage.redis.client() as client:
            assert client.ttl(job.key) == -1
    stage.open(stage.gate())
    stage.until_lines("begin one", "one")
    stage.until_state(job.id, JobState.COMPLETED)
