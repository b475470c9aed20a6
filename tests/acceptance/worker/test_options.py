"""The options of `rqworker` and `rqworker-pool`, and starts in bad weather."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import django_rq
import pytest
from rq import Worker

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import WorkerHeartbeat
from example_project.servers import ServerProcess
from tests import jobs
from tests.acceptance.worker.stage import SHORT_LEASE, Stage, in_database, in_redis, is_alive

pytestmark = pytest.mark.from_the_command_line


def test_a_burst_runs_what_there_is_and_ends(stage: Stage) -> None:
    for number in range(3):
        django_rq.enqueue(jobs.record, stage.path, number)
    worker = stage.worker(options=["--burst"])

    assert worker.wait() == 0
    assert stage.lines == ["0", "1", "2"]


@in_database
def test_a_burst_after_an_outage_drains_the_rows_and_runs_them(stage: Stage) -> None:
    ids = [django_rq.enqueue(jobs.record, stage.path, number).id for number in range(3)]
    stage.redis.start()
    worker = stage.worker(options=["--burst"])

    assert worker.wait() == 0
    assert stage.lines == ["0", "1", "2"]
    assert [stage.state(job_id) for job_id in ids] == [JobState.COMPLETED] * 3


def test_a_burst_without_any_job_ends_at_once(stage: Stage) -> None:
    assert stage.worker(options=["--burst"]).wait() == 0


def test_a_worker_ends_after_its_number_of_jobs(stage: Stage) -> None:
    for number in range(3):
        last = django_rq.enqueue(jobs.record, stage.path, number)
    worker = stage.worker(options=["--max-jobs", "2"])

    assert worker.wait() == 0
    assert stage.lines == ["0", "1"]
    assert stage.state(last.id) == JobState.WAITING


def test_a_worker_ends_when_it_has_been_idle_for_too_long(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_slowly, stage.path, "one", 1.5)
    worker = stage.worker(options=["--max-idle-time", "1"])

    assert worker.wait() == 0
    assert stage.lines == ["begin one", "one"]


def test_a_worker_has_the_name_and_the_pid_file_that_it_was_given(
    stage: Stage, tmp_path: Path
) -> None:
    pid_file = tmp_path / "worker.pid"
    worker = stage.worker(options=["--name", "mail-1", "--pid", str(pid_file)])
    stage.until_worker_uses(stage.mode)

    heartbeat = WorkerHeartbeat.objects.get()
    assert (heartbeat.name, heartbeat.pid) == ("mail-1", worker.pid)
    assert pid_file.read_text() == str(worker.pid)


def test_a_worker_that_is_replaced_by_one_of_the_same_name_loses_no_job(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    killed = stage.worker(options=["--name", "mail-1"], settings=SHORT_LEASE)
    stage.until_lines("begin one")
    killed.kill()

    stage.open(stage.gate())
    stage.worker(options=["--name", "mail-1"], settings=SHORT_LEASE)
    stage.until_lines("begin one", "begin one", "one")
    stage.until_state(job.id, JobState.COMPLETED)


def test_a_scheduler_that_is_asked_for_changes_nothing(stage: Stage) -> None:
    django_rq.get_queue().enqueue_in(timedelta(seconds=1), jobs.record, stage.path, "one")
    worker = stage.worker(options=["--with-scheduler"])

    stage.until_lines("one")
    worker.terminate()
    assert worker.wait() == 0


@in_redis
def test_the_worker_ttl_bounds_how_long_rq_remembers_a_worker(stage: Stage) -> None:
    stage.worker(options=["--worker-ttl", "30", "--name", "mail-1"])
    with stage.redis.client() as client:
        stage.until(lambda: client.exists("rq:worker:mail-1"))
        assert 0 < client.ttl("rq:worker:mail-1") <= 90


def test_a_pool_runs_jobs_at_once_and_ends_when_asked(stage: Stage) -> None:
    gate = stage.gate()
    for number in range(2):
        django_rq.enqueue(jobs.record_when_released, stage.path, number, gate)
    pool = stage.worker(command="rqworker-pool", options=["--num-workers", "2"])

    stage.until(lambda: sorted(stage.lines) == ["begin 0", "begin 1"])
    members = pool.horses
    stage.open(gate)
    stage.until(lambda: len(stage.lines) == 4)
    pool.terminate()
    assert pool.wait() == 0
    assert not any(is_alive(pid) for pid in members)


@in_database
def test_a_pool_that_was_started_in_an_outage_returns_to_redis(stage: Stage) -> None:
    stage.worker(command="rqworker-pool", options=["--num-workers", "2"])
    stage.until(lambda: WorkerHeartbeat.objects.filter(mode="database").count() == 2)

    stage.redis.start()
    stage.until(lambda: WorkerHeartbeat.objects.filter(mode="redis").count() == 2)
    stage.until(lambda: len(Worker.all(django_rq.get_connection())) == 2)
    django_rq.enqueue(jobs.record_own_store, stage.path)
    stage.until_lines("redis")


@in_redis
def test_a_worker_starts_without_the_database_and_notices_its_return(
    stage: Stage, database_server: ServerProcess
) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "one")
    database_server.stop()
    stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until_lines("one")

    stage.bring_back(database_server)
    stage.until(lambda: stage.row(job.id) is None)
    stage.until_worker_uses("redis")


def test_a_worker_starts_without_any_store_and_takes_the_first_that_returns(
    stage: Stage, database_server: ServerProcess
) -> None:
    django_rq.enqueue(jobs.record, stage.path, "one")
    stage.redis.kill()
    database_server.stop()
    worker = stage.worker(settings={"DATABASE_TIMEOUT": 0.5})
    stage.until(lambda: "redis away" in worker.output)

    if stage.mode == "redis":
        stage.redis.start()
        stage.until(lambda: "redis in use" in worker.output)
    stage.bring_back(database_server)
    stage.until_lines("one")
    assert worker.is_running


def test_a_second_worker_of_a_live_ones_name_is_refused(stage: Stage) -> None:
    first = stage.worker(options=["--name", "mail-1"])
    stage.until_worker_uses(stage.mode)
    second = stage.worker(options=["--name", "mail-1"])
    assert second.wait() != 0
    assert "There exists an active worker named 'mail-1' already" in second.output

    django_rq.enqueue(jobs.record, stage.path, "one")
    stage.until_lines("one")
    assert first.is_running


def test_the_name_of_a_worker_that_died_on_another_machine_is_free_after_a_lease(
    stage: Stage,
) -> None:
    killed = stage.worker(options=["--name", "mail-1"], settings=SHORT_LEASE)
    stage.until_worker_uses(stage.mode)
    if stage.mode == "redis":
        with stage.redis.client() as client:
            stage.until(lambda: client.exists("rq:worker:mail-1"))
            killed.kill()
            client.hset("rq:worker:mail-1", "hostname", "elsewhere")
    killed.kill()
    WorkerHeartbeat.objects.update(hostname="elsewhere")

    django_rq.enqueue(jobs.record, stage.path, "one")
    stage.worker(options=["--name", "mail-1"], settings=SHORT_LEASE)
    stage.until_lines("one")


@in_redis
def test_the_name_of_a_live_worker_of_plain_rq_is_refused(stage: Stage) -> None:
    with stage.redis.client() as client:
        client.hset("rq:worker:mail-1", "last_heartbeat", "2026-01-01T00:00:00.000000Z")
    refused = stage.worker(options=["--name", "mail-1"])
    assert refused.wait() != 0
