"""How a worker ends: warm at the first signal, cold at the second, whichever store is away."""

from __future__ import annotations

import signal

import django_rq
import pytest

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.fallback_job import State
from example_project.servers import ServerProcess
from tests import jobs
from tests.acceptance.worker.stage import SHORT_LEASE, Stage, in_redis, is_alive
from tests.workers import WorkerProcess


def started_with(stage: Stage, *values: str, **settings: float) -> tuple[WorkerProcess, list[str]]:
    """A worker in the middle of the first of some jobs, and the ids of the jobs."""
    ids = [
        django_rq.enqueue(jobs.record_when_released, stage.path, value, stage.gate()).id
        for value in values
    ]
    worker = stage.worker(settings=settings)
    stage.until_lines(f"begin {values[0]}")
    return worker, ids


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_warm_shutdown_finishes_the_job_in_hand_and_takes_no_other(
    stage: Stage, signal_number: int
) -> None:
    worker, (first, second) = started_with(stage, "one", "two")

    worker.end_by(signal_number)
    stage.until(lambda: "shut" in worker.output.lower())
    stage.open(stage.gate())
    assert worker.wait() == 0
    assert stage.lines == ["begin one", "one"]
    assert stage.state(first) == JobState.COMPLETED
    assert stage.state(second) == JobState.WAITING
    assert not FallbackJob.objects.filter(state=State.CLAIMED).exists()
    assert not WorkerHeartbeat.objects.exists()


@in_redis
def test_a_warm_shutdown_settles_the_job_in_hand_though_redis_is_frozen(stage: Stage) -> None:
    worker, (first,) = started_with(stage, "one", WORKER_TIMEOUT=0.3)

    with stage.redis.frozen():
        worker.terminate()
        stage.open(stage.gate())
        assert worker.wait() == 0
        row = stage.row(first)
        assert row is not None
        assert row.state == State.FINISHED
    stage.worker()
    stage.until(lambda: stage.row(first) is None)
    assert stage.lines == ["begin one", "one"]


@in_redis
def test_a_warm_shutdown_settles_the_job_in_hand_though_the_database_is_away(
    stage: Stage, database_server: ServerProcess
) -> None:
    worker, (first,) = started_with(stage, "one", DATABASE_TIMEOUT=0.5)

    database_server.stop()
    worker.terminate()
    stage.open(stage.gate())
    assert worker.wait() == 0
    stage.bring_back(database_server)
    stage.worker()
    stage.until(lambda: stage.row(first) is None)
    assert stage.state(first) == JobState.COMPLETED
    assert stage.lines == ["begin one", "one"]


def test_an_idle_worker_ends_at_once_and_takes_its_name_off_every_list(stage: Stage) -> None:
    worker = stage.worker()
    stage.until_worker_uses(stage.mode)

    worker.terminate()
    assert worker.wait() == 0
    assert not WorkerHeartbeat.objects.exists()
    if stage.mode == "redis":
        with stage.redis.client() as client:
            assert client.smembers("rq:workers") == set()


def test_a_second_signal_cuts_the_job_and_gives_it_back(stage: Stage) -> None:
    worker, (first,) = started_with(stage, "one")
    horses = worker.horses

    def cut() -> bool:
        if "cold shut down" in worker.output:
            return True
        worker.terminate()  # rq takes no second signal within the first second
        return False

    stage.until(cut)
    assert worker.wait() == 0
    assert not any(is_alive(pid) for pid in horses)
    assert stage.state(first) == JobState.WAITING
    stage.open(stage.gate())
    stage.worker()
    stage.until_lines("begin one", "begin one", "one")
    stage.until_state(first, JobState.COMPLETED)


@in_redis
def test_an_impatient_operator_does_not_keep_a_worker_from_signing_off(stage: Stage) -> None:
    worker, (first,) = started_with(stage, "one", WORKER_TIMEOUT=0.5, **SHORT_LEASE)

    def ended() -> bool:
        if worker.is_running:
            worker.terminate()
        return not worker.is_running

    with stage.redis.frozen():  # each of its last words takes its time
        stage.until(ended)
        assert not WorkerHeartbeat.objects.exists()
    stage.open(stage.gate())
    stage.worker(settings=SHORT_LEASE)
    stage.until_lines("begin one", "begin one", "one")
    stage.until_state(first, JobState.COMPLETED)


def test_a_worker_without_any_store_still_ends_when_asked(
    stage: Stage, database_server: ServerProcess
) -> None:
    stage.redis.kill()
    database_server.stop()
    worker = stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until(lambda: "redis away" in worker.output)

    worker.terminate()
    assert worker.wait() == 0
