"""What `get_job` says of a job is the same word, whichever store knows it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rq import RateLimit, Repeat, Retry
from rq.job import Job, JobStatus
from rq.queue import Queue

from django_resilient_queue import get_job
from django_resilient_queue.exceptions import StoresUnavailableError
from django_resilient_queue.job_info import RQ_STATES, JobInfo, JobState
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from example_project.servers import RedisServer
from tests.conftest import reset_process_state
from tests.enqueueing import AWAY, HOUR, database_away, queue, row_of, take_away
from tests.jobs import succeed
from tests.stores import Bench, letters

pytestmark = pytest.mark.django_db(transaction=True)
each_outage = pytest.mark.parametrize("how", AWAY)


def found(job_id: str) -> JobInfo:
    info = get_job(job_id)
    assert info is not None
    return info


# ---- the same words for both stores -----------------------------------------------------------


def test_an_id_that_nobody_knows_is_none(redis_server: RedisServer) -> None:
    assert get_job("nobody") is None


def test_a_job_is_shown_as_it_was_enqueued(bench: Bench) -> None:
    bench.put("a", "high", meta={"user": 7})
    info = found("a")
    assert (info.job_id, info.queue_name, info.backend) == ("a", "high", bench.name)
    assert (info.state, info.attempts, info.error) == (JobState.WAITING, 0, "")
    assert info.meta == {"user": 7}
    assert info.enqueued_at is not None
    assert info.job is not None
    assert (info.job.func, info.job.args) == (succeed, ("a",))


def test_each_step_of_a_life_has_its_word_and_counts_its_attempts(bench: Bench) -> None:
    worker = bench.worker("w")

    def seen() -> tuple[str, int]:
        return found("a").state, found("a").attempts

    bench.put("a", retry=Retry(max=2, interval=[0, 3600]))
    assert seen() == ("waiting", 0)
    claim = worker.take()
    assert seen() == ("active", 1)
    worker.store.settle(claim, worker.failed(claim))
    assert seen() == ("waiting", 1)
    claim = worker.take()
    assert seen() == ("active", 2)
    worker.store.settle(claim, worker.failed(claim))
    assert seen() == ("delayed", 2)
    bench.make_due("a")
    assert seen() == ("waiting", 2)
    claim = worker.take()
    assert seen() == ("active", 3)
    worker.store.settle(claim, worker.finished(claim))
    assert seen() == ("completed", 3)


def test_a_dead_job_names_its_error_and_how_often_it_was_tried(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.put("a", retry=Retry(max=1))
    for _ in range(2):
        claim = worker.take()
        end = worker.failed(claim)
        worker.store.settle(claim, end)
        bench.follow(claim, end)
    info = found("a")
    assert (info.state, info.attempts, info.backend) == (JobState.DEAD, 2, "database")
    assert info.error == "builtins.ValueError: no"
    assert info.job is not None
    assert info.job.args == ("a",)


def test_a_stopped_job_is_cancelled(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.put("a")
    claim = worker.take()
    worker.store.settle(claim, worker.stopped(claim))
    assert (found("a").state, found("a").attempts) == (JobState.CANCELLED, 1)


def test_a_repeat_that_waits_is_not_called_completed(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.put("a", repeat=Repeat(times=1, interval=3600))
    claim = worker.take()
    worker.store.settle(claim, worker.finished(claim))
    assert (found("a").state, found("a").attempts) == (JobState.DELAYED, 0)


# ---- what rq knows of a job -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (JobStatus.CREATED, "delayed"),
        (JobStatus.QUEUED, "waiting"),
        (JobStatus.STARTED, "active"),
        (JobStatus.DEFERRED, "delayed"),
        (JobStatus.SCHEDULED, "delayed"),
        (JobStatus.RATE_LIMITED, "delayed"),
        (JobStatus.READY_TO_ENQUEUE, "delayed"),
        (JobStatus.FINISHED, "completed"),
        (JobStatus.FAILED, "failed"),
        (JobStatus.STOPPED, "cancelled"),
        (JobStatus.CANCELED, "cancelled"),
    ],
)
def test_each_status_of_rq_has_a_word(
    redis_server: RedisServer, status: JobStatus, state: str
) -> None:
    job = queue().enqueue(succeed)
    job.set_status(status)
    assert found(job.id).state == state


def test_no_status_of_rq_is_without_a_word() -> None:
    assert set(RQ_STATES) == set(JobStatus)


def test_a_job_of_plain_rq_is_found(redis_server: RedisServer) -> None:
    plain = Queue("default", connection=queue().connection)
    job = plain.enqueue(succeed, 1)
    info = found(job.id)
    assert (info.state, info.backend, info.attempts) == (JobState.WAITING, "redis", 0)


def test_a_job_that_waits_for_others_or_for_a_rate_limit_is_delayed(
    redis_server: RedisServer,
) -> None:
    limit = RateLimit("mails", 1)
    queue().enqueue(succeed, rate_limit=limit)
    first = queue().enqueue(succeed)
    waiting = [
        queue().enqueue(succeed, rate_limit=limit),
        queue().enqueue(succeed, depends_on=first),
        queue().enqueue_in(HOUR, succeed),
    ]
    assert {found(job.id).state for job in waiting} == {JobState.DELAYED}


@each_outage
def test_in_an_outage_a_scheduled_job_is_delayed_until_its_time(
    redis_server: RedisServer, how: str
) -> None:
    take_away(redis_server, how)
    job = queue().enqueue_in(HOUR, succeed)
    assert (found(job.id).state, found(job.id).backend) == (JobState.DELAYED, "database")
    FallbackJob.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert found(job.id).state == JobState.WAITING


@pytest.mark.parametrize("away", [False, True])
def test_each_queues_own_serializer_reads_its_jobs(
    redis_server: RedisServer, settings: Settings, away: bool
) -> None:
    plain = settings.RQ_QUEUES["default"]
    json = {**plain, "SERIALIZER": "rq.serializers.JSONSerializer"}
    settings.RQ_QUEUES = {"a-pickle": plain, "json": json}
    if away:
        redis_server.kill()
    for name in settings.RQ_QUEUES:
        info = found(queue(name).enqueue(succeed, 1, meta={"user": 7}).id)
        assert info.job is not None
        assert (list(info.job.args), info.meta) == ([1], {"user": 7})


# ---- which store counts -----------------------------------------------------------------------


def test_a_job_that_both_stores_have_is_shown_as_redis_has_it(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed)
    job.set_status(JobStatus.STARTED)
    assert (found(job.id).state, found(job.id).backend) == (JobState.ACTIVE, "redis")


@pytest.mark.parametrize(("state", "word"), [(State.CLAIMED, "active"), (State.READY, "waiting")])
def test_what_the_database_executes_counts_before_a_copy_in_redis(
    redis_server: RedisServer, state: str, word: str
) -> None:
    job = queue().enqueue(succeed)
    job.set_status(JobStatus.FINISHED)
    FallbackJob.objects.update(state=state)
    assert (found(job.id).state, found(job.id).backend) == (word, "database")


def test_what_the_database_has_settled_counts_before_a_copy_in_redis(
    redis_server: RedisServer,
) -> None:
    job = queue().enqueue(succeed)
    FallbackJob.objects.update(state=State.FINISHED, outcome=b"can't be read")
    assert found(job.id).state == JobState.COMPLETED


def test_a_job_whose_id_is_used_again_is_not_dead(bench: Bench) -> None:
    worker = bench.worker("w")
    bench.put("a")
    claim = worker.take()
    end = worker.failed(claim)
    worker.store.settle(claim, end)
    bench.follow(claim, end)
    assert letters() == [("a", "raised")]
    bench.put("a")
    assert (found("a").state, found("a").attempts, found("a").error) == ("waiting", 0, "")


def test_a_death_that_only_rq_has_recorded_is_called_failed(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed)
    FallbackJob.objects.all().delete()
    job.set_status(JobStatus.FAILED)
    assert found(job.id).state == JobState.FAILED


# ---- a store that is away ---------------------------------------------------------------------


@each_outage
def test_with_redis_away_the_row_answers(redis_server: RedisServer, how: str) -> None:
    job = queue().enqueue(succeed)
    take_away(redis_server, how)
    assert (found(job.id).state, found(job.id).backend) == (JobState.WAITING, "database")


def test_with_the_database_away_redis_answers(
    redis_server: RedisServer, settings: Settings
) -> None:
    job = queue().enqueue(succeed)
    with database_away(settings):
        assert (found(job.id).state, found(job.id).backend) == (JobState.WAITING, "redis")


@each_outage
def test_with_both_away_it_says_so(redis_server: RedisServer, settings: Settings, how: str) -> None:
    job = queue().enqueue(succeed)
    take_away(redis_server, how)
    reset_process_state()
    with database_away(settings), pytest.raises(StoresUnavailableError) as caught:
        get_job(job.id)
    assert job.id in str(caught.value)


def test_with_the_circuit_open_a_row_answers_without_asking_redis(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1}
    before = queue().enqueue(succeed)
    redis_server.kill()
    queue().enqueue(succeed)
    redis_server.start()
    with redis_server.client() as client:
        client.config_resetstat()
        assert found(before.id).backend == "database"
        assert "cmdstat_hgetall" not in client.info("commandstats")


# ---- what can't be read -----------------------------------------------------------------------


def test_a_row_that_cannot_be_read_is_shown_without_its_job(redis_server: RedisServer) -> None:
    redis_server.kill()
    job = queue().enqueue(succeed)
    FallbackJob.objects.update(payload=b"no seal")
    info = found(job.id)
    assert (info.job, info.meta, info.enqueued_at) == (None, {}, None)
    assert info.state == JobState.WAITING


def test_a_row_of_a_queue_that_is_gone_is_shown(
    redis_server: RedisServer, settings: Settings
) -> None:
    redis_server.kill()
    job = queue("low").enqueue(succeed, 1)
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"]}
    info = found(job.id)
    assert info.queue_name == "low"
    assert info.job is not None


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"no pickle"},
        {"meta": b"no pickle"},
        {"status": b"unheard of"},
        {"created_at": b"yesterday"},
        {"drq_attempt": b"many"},
        {"origin": b"\xff"},
        {"timeout": b"long"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_hash_that_was_spoilt_raises_nothing(
    redis_server: RedisServer, change: dict[str, Any]
) -> None:
    job = queue().enqueue(succeed)
    with redis_server.client() as client:
        client.hset(Job.key_for(job.id), mapping=change)
    assert found(job.id).backend == "redis"
    assert row_of(job).state == State.DISPATCHED
