"""A worker that loses a store in mid-work goes on with the other, and returns by itself."""

from __future__ import annotations

from collections.abc import Callable

import django_rq
import pytest
from rq.job import Job, JobStatus

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, Outage
from django_resilient_queue.models.fallback_job import State
from example_project.servers import RedisServer, ServerProcess
from tests import jobs
from tests.acceptance.worker.stage import End, Stage, frozen, in_database, in_redis, killed
from tests.enqueueing import seconds

# What a project has that sets nothing.
DEFAULTS = {"LEASE": 10, "HEARTBEAT_INTERVAL": 1, "PROBE_INTERVAL": 1, "WORKER_TIMEOUT": 1}


@pytest.fixture(params=[frozen, killed])
def outage(request: pytest.FixtureRequest) -> Callable[[RedisServer], End]:
    begin: Callable[[RedisServer], End] = request.param
    return begin


# ---- Redis goes away


@pytest.mark.alone
@in_redis
def test_a_worker_goes_on_from_the_database_within_three_seconds_and_returns_within_two(
    stage: Stage, outage: Callable[[RedisServer], End]
) -> None:
    """In one of three outages: a busy machine may delay what is done in the others."""
    stage.worker(settings=DEFAULTS)
    stage.until_worker_uses("redis")
    away: list[float] = []
    back: list[float] = []
    for _ in range(3):
        end = outage(stage.redis)
        django_rq.enqueue(jobs.record_own_store, stage.path)
        away.append(seconds(lambda: stage.until(lambda: stage.lines[-1:] == ["database"])))
        end()
        back.append(seconds(lambda: stage.until_worker_uses("redis")))
        stage.until(lambda: not Outage.objects.filter(ended_at=None).exists())
        django_rq.get_queue().enqueue(jobs.record_own_store, stage.path)
        stage.until(lambda: stage.lines[-1:] != ["database"])
    assert min(away) <= 3
    assert min(back) <= 2
    assert all(Outage.objects.values_list("cause", flat=True))


@in_redis
def test_a_job_that_runs_when_redis_goes_away_is_not_run_again_and_redis_learns_its_end(
    stage: Stage, outage: Callable[[RedisServer], End]
) -> None:
    job = django_rq.enqueue(jobs.return_when_released, stage.path, {"sum": 42}, stage.gate())
    stage.worker()
    stage.worker()
    stage.until_lines("begin")
    end = outage(stage.redis)
    stage.until_worker_uses("database")
    stage.open(stage.gate())
    stage.until_state(job.id, JobState.COMPLETED)

    end()
    stage.until(lambda: stage.row(job.id) is None)
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value(refresh=True) == {"sum": 42}
    queue = django_rq.get_queue()
    assert job.id in queue.finished_job_registry.get_job_ids()
    assert not queue.started_job_registry.get_job_ids(cleanup=False)
    assert stage.lines == ["begin"]


@in_redis
def test_what_a_job_saved_into_meta_in_an_outage_reaches_redis(
    stage: Stage, outage: Callable[[RedisServer], End]
) -> None:
    job = django_rq.enqueue(jobs.record_twice_own_meta, stage.path, stage.gate())
    stage.worker()
    stage.until_lines("begin half")
    end = outage(stage.redis)
    stage.until_worker_uses("database")
    stage.open(stage.gate())
    stage.until_state(job.id, JobState.COMPLETED)

    end()
    stage.until(lambda: stage.row(job.id) is None)
    assert Job.fetch(job.id, job.connection).meta == {"step": "whole"}


@in_redis
def test_a_job_that_dies_while_redis_is_away_is_a_letter_at_once(
    stage: Stage, outage: Callable[[RedisServer], End]
) -> None:
    job = django_rq.enqueue(jobs.fail_when_released, stage.path, stage.gate())
    stage.worker()
    stage.until_lines("begin")
    end = outage(stage.redis)
    stage.until_worker_uses("database")
    stage.open(stage.gate())

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, "raised")
    end()
    stage.until(lambda: stage.row(job.id) is None)
    assert job.id in django_rq.get_queue().failed_job_registry.get_job_ids()
    stage.until_state(job.id, JobState.DEAD)
    assert DeadLetter.objects.count() == 1


@in_database
def test_a_job_that_runs_from_the_database_when_redis_returns_is_not_run_again(
    stage: Stage,
) -> None:
    job = django_rq.enqueue(jobs.return_when_released, stage.path, {"sum": 42}, stage.gate())
    stage.worker()
    stage.worker()
    stage.until_lines("begin")

    stage.redis.start()
    stage.until_worker_uses("redis")
    stage.open(stage.gate())
    stage.until(lambda: stage.row(job.id) is None)
    assert stage.lines == ["begin"]
    assert job.return_value(refresh=True) == {"sum": 42}


@in_redis
def test_a_worker_survives_a_redis_that_comes_and_goes(stage: Stage) -> None:
    worker = stage.worker()
    for number in range(4):
        stage.until_worker_uses("redis")
        django_rq.enqueue(jobs.record, stage.path, f"up {number}")
        stage.redis.kill()
        django_rq.enqueue(jobs.record, stage.path, f"down {number}")
        stage.redis.start()

    stage.until(lambda: len(stage.lines) >= 8)
    expected = {f"{way} {number}" for way in ("up", "down") for number in range(4)}
    assert set(stage.lines) == expected
    assert worker.is_running


# ---- the database goes away


@in_redis
def test_a_job_that_runs_when_the_database_goes_away_is_settled_in_both_stores(
    stage: Stage, database_server: ServerProcess
) -> None:
    job = django_rq.enqueue(jobs.return_when_released, stage.path, 42, stage.gate())
    stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until_lines("begin")
    database_server.stop()
    stage.open(stage.gate())
    stage.until(lambda: job.get_status() == JobStatus.FINISHED)

    stage.bring_back(database_server)
    stage.until(lambda: stage.row(job.id) is None)
    stage.until_worker_uses("redis")
    assert stage.lines == ["begin"]


@in_redis
def test_jobs_go_on_from_redis_while_the_database_is_away_and_deaths_are_letters_later(
    stage: Stage, database_server: ServerProcess
) -> None:
    for value in ("one", "two"):
        django_rq.enqueue(jobs.record_and_fail, stage.path, value)
    with stage.redis.client() as client:
        client.set("rq:suspended", 1)
        worker = stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
        stage.until_worker_uses("redis")
        database_server.stop()
        stage.until(lambda: "database lost" in worker.output)
        client.delete("rq:suspended")
    stage.until_lines("one", "two")
    stage.until(lambda: django_rq.get_queue().failed_job_registry.count == 2)

    stage.bring_back(database_server)
    stage.until(lambda: DeadLetter.objects.count() == 2)
    assert {letter.reason for letter in DeadLetter.objects.all()} == {"raised"}


@in_database
def test_a_job_of_an_outage_is_settled_when_the_database_was_away_at_its_end(
    stage: Stage, database_server: ServerProcess
) -> None:
    job = django_rq.enqueue(jobs.return_when_released, stage.path, 42, stage.gate())
    worker = stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until_lines("begin")
    database_server.stop()
    stage.until(lambda: "database lost" in worker.output)
    stage.open(stage.gate())

    stage.until(lambda: "job finished" in worker.output)
    stage.bring_back(database_server)
    stage.until_state(job.id, JobState.COMPLETED)
    row = stage.row(job.id)
    assert row is not None
    assert row.state == State.FINISHED
    assert stage.lines == ["begin"]


@in_redis
def test_a_worker_that_loses_both_stores_in_turn_loses_no_job(
    stage: Stage, database_server: ServerProcess
) -> None:
    worker = stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until_worker_uses("redis")
    ids = [django_rq.get_queue("low").enqueue(jobs.succeed, 1).id]
    ids += [django_rq.enqueue(jobs.record, stage.path, "one").id]
    stage.until_lines("one")
    database_server.stop()
    stage.until(lambda: "database lost" in worker.output)
    stage.redis.kill()
    stage.until(lambda: "redis lost" in worker.output)

    stage.bring_back(database_server)
    stage.until_worker_uses("database")
    stage.redis.start()
    stage.until_worker_uses("redis")
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.until_lines("one", "two")
    found = get_job(ids[0])
    assert found is not None
    assert found.state == JobState.WAITING
