"""Several horses in one worker, and several jobs with one horse."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import django_rq
import pytest
from django.db import connection
from rq.command import send_stop_job_command

from django_resilient_queue.models import DeadLetter
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis

TWO = {"CONCURRENCY": 2}
QUICK_JOBS = 60  # after so many a worker knows that jobs are short, and lays several ready


def record_many(stage: Stage, name: str, count: int) -> list[str]:
    """Short jobs; returns the lines that they will write."""
    lines = [f"{name} {n}" for n in range(count)]
    for line in lines:
        django_rq.enqueue(jobs.record, stage.path, line)
    return lines


def test_two_horses_perform_two_jobs_at_once(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        django_rq.enqueue(jobs.record_when_released, stage.path, name, stage.gate())
    worker = stage.worker(settings=TWO)
    stage.until(lambda: sorted(stage.lines) == ["begin one", "begin two"])
    assert len(worker.horses) == 2
    stage.open(stage.gate())
    stage.until(lambda: len(stage.lines) == 6)


def test_the_environment_says_how_many_horses(stage: Stage) -> None:
    worker = stage.worker(environment={"QUEUE_CONCURRENCY": "3"})
    stage.until(lambda: len(worker.horses) == 3)


def test_a_long_job_holds_no_others_back(stage: Stage) -> None:
    before = record_many(stage, "before", QUICK_JOBS)
    django_rq.enqueue(jobs.record_when_released, stage.path, "long", stage.gate())
    behind = record_many(stage, "behind", QUICK_JOBS)
    stage.worker(settings=TWO)
    stage.until(lambda: sorted(stage.lines) == sorted([*before, "begin long", *behind]))
    stage.open(stage.gate())
    stage.until(lambda: stage.lines[-1] == "long")


@in_redis
def test_what_lies_ready_behind_a_long_job_goes_to_another_worker(stage: Stage) -> None:
    before = record_many(stage, "before", QUICK_JOBS)
    django_rq.enqueue(jobs.record_when_released, stage.path, "long", stage.gate())
    behind = record_many(stage, "behind", 10)
    stage.worker()
    stage.until(lambda: "begin long" in stage.lines)
    assert stage.lines == [*before, "begin long"]
    stage.worker()
    stage.until_lines(*before, "begin long", *behind)
    stage.open(stage.gate())
    stage.until(lambda: stage.lines[-1] == "long")


def test_only_the_job_that_a_killed_horse_performed_is_dead(stage: Stage) -> None:
    before = record_many(stage, "before", QUICK_JOBS)
    django_rq.enqueue(jobs.kill_own_process, job_id="killer")
    behind = record_many(stage, "behind", 10)
    stage.worker()
    stage.until(lambda: stage.lines == [*before, *behind])
    stage.until(lambda: DeadLetter.objects.exists())
    assert [letter.job_id for letter in DeadLetter.objects.all()] == ["killer"]


@in_redis
def test_the_death_of_a_horse_is_seen_though_its_child_holds_the_pipe_open(stage: Stage) -> None:
    django_rq.enqueue(jobs.leave_a_child_and_kill_own_process, stage.path)
    django_rq.enqueue(jobs.record, stage.path, "next")
    stage.worker()
    stage.until(lambda: len(stage.lines) == 2)
    os.kill(int(stage.lines[0]), signal.SIGKILL)
    assert stage.lines[1] == "next"
    assert stage.letter().reason == "killed"


@in_redis
def test_a_horse_that_is_killed_while_idle_is_replaced(stage: Stage) -> None:
    worker = stage.worker(settings=TWO)
    stage.until(lambda: len(worker.horses) == 2)
    first = worker.horses
    os.kill(first[0], signal.SIGKILL)
    stage.until(lambda: len(set(worker.horses) - set(first)) == 1)
    django_rq.enqueue(jobs.record, stage.path, "one")
    stage.until_lines("one")


@in_redis
def test_stopping_one_job_leaves_the_others_alone(stage: Stage) -> None:
    for name in ("one", "two"):
        django_rq.enqueue(jobs.record_when_released, stage.path, name, stage.gate(), job_id=name)
    stage.worker(settings=TWO)
    stage.until(lambda: sorted(stage.lines) == ["begin one", "begin two"])
    send_stop_job_command(django_rq.get_connection(), "one")
    stage.until(lambda: stage.state("one") == "cancelled")
    stage.open(stage.gate())
    stage.until(lambda: stage.state("two") == "completed")
    assert sorted(stage.lines) == ["begin one", "begin two", "two"]
    assert not DeadLetter.objects.exists()


@in_redis
def test_a_warm_shutdown_returns_what_lies_ready_to_the_front_of_its_queue(stage: Stage) -> None:
    before = record_many(stage, "before", QUICK_JOBS)
    django_rq.enqueue(jobs.record_when_released, stage.path, "long", stage.gate())
    behind = record_many(stage, "behind", 20)
    worker = stage.worker()
    stage.until(lambda: "begin long" in stage.lines)
    worker.terminate()
    stage.until(lambda: "shut down" in worker.output.lower())
    stage.open(stage.gate())
    assert worker.wait() == 0
    assert stage.lines == [*before, "begin long", "long"]
    stage.worker(options=["--burst"]).wait()
    assert stage.lines[-20:] == behind


@pytest.mark.parametrize("limit", [{"HORSE_MAX_RSS": 1}, {"HORSE_MAX_JOBS": 1}], ids=str)
def test_a_horse_that_has_done_its_share_or_grown_too_large_is_replaced(
    stage: Stage, limit: dict[str, int]
) -> None:
    for _ in range(3):
        django_rq.enqueue(jobs.record_own_pid, stage.path)
    stage.worker(settings=limit)
    stage.until(lambda: len(stage.lines) == 3)
    assert len(set(stage.lines)) == 3


@in_redis
def test_a_worker_that_loses_redis_does_not_run_its_own_jobs_again(stage: Stage) -> None:
    """The row says that Redis may have the job, and nobody else uses Redis: it is in hand here."""
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    stage.worker(settings=TWO)
    stage.until_lines("begin one")
    stage.redis.kill()
    stage.until_worker_uses("database")
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.until_lines("begin one", "two")
    stage.open(stage.gate())
    stage.until_lines("begin one", "two", "one")


def test_jobs_that_follow_at_once_find_the_database_connection_open(stage: Stage) -> None:
    """Those that the machine lets follow at once: not each does while it is busy."""
    for _ in range(30):
        django_rq.enqueue(jobs.record_whether_connected, stage.path)
    stage.worker()
    stage.until(lambda: len(stage.lines) == 30)
    assert stage.lines[0] == "new"
    assert "kept" in stage.lines


def test_an_idle_horse_holds_no_database_connection(stage: Stage) -> None:
    worker = stage.worker()
    for count in (1, 2):
        django_rq.enqueue(jobs.record_whether_connected, stage.path)
        stage.until_lines(*["new"] * count)
        stage.until(lambda: not is_connected(worker.horses[0]))


def is_connected(pid: int) -> bool:
    """Whether a process has the database open right now: the file, or a socket to the server."""
    opened = {str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    if connection.vendor == "sqlite":
        return os.path.realpath(str(connection.settings_dict["NAME"])) in opened
    port = f":{int(connection.settings_dict['PORT']):04X}"
    sockets = (line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
    return any(each[2].endswith(port) and f"socket:[{each[9]}]" in opened for each in sockets)
