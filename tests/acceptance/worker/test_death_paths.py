"""Every way for a job to die, provoked from outside: each leaves one dead letter and no job.

What concerns one path in detail is in the modules of that path: failing, dying workers, changing
over.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import django_rq
import pytest
from django.test import Client
from rq import Retry
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job, JobStatus

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, FailedAttempt, FallbackJob
from django_resilient_queue.models.fallback_job import State
from tests import jobs
from tests.acceptance.worker.stage import DATABASE, SHORT_LEASE, Stage, in_redis
from tests.conftest import poll
from tests.workers import WorkerProcess

QUEUE = "rq:queue:default"
INTERMEDIATE = IntermediateQueue.get_intermediate_queue_key(QUEUE)
PLAIN = ["--worker-class", "rq.worker.Worker"]


def until_no_job_is_left(stage: Stage) -> None:
    """Neither in the table, where results may stay, nor in what workers read of Redis."""
    stage.until(lambda: not FallbackJob.objects.exclude(state=State.FINISHED).exists())
    if stage.mode == DATABASE:
        return
    with stage.redis.client() as client:
        stage.until(lambda: not client.zcard("rq:wip:default"))
        assert not client.llen(QUEUE)
        assert not client.zcard("rq:scheduled:default")


def end(worker: WorkerProcess) -> None:
    poll(lambda: "worker started" in worker.output)  # before that a signal just kills it
    worker.terminate()
    assert worker.wait() == 0


# ---- in a worker


def test_each_death_in_a_worker_is_one_letter_with_its_reason_and_its_attempts(
    stage: Stage,
) -> None:
    enqueue, path = django_rq.enqueue, stage.path
    deaths = {
        enqueue(jobs.fail): ("raised", 1),
        enqueue(jobs.fail, retry=Retry(max=2)): ("raised", 3),
        enqueue(jobs.return_retry, 2): ("retries_exceeded", 3),
        enqueue(jobs.kill_own_process): ("killed", 1),
        enqueue(jobs.kill_own_process, retry=Retry(max=1)): ("killed", 2),
        enqueue(jobs.run_out_of_memory, path): ("raised", 1),
        enqueue(jobs.record_slowly, path, "slow", 600, job_timeout=1): ("timeout", 1),
        django_rq.get_queue().enqueue("tests.jobs.gone"): ("not_importable", 1),
        enqueue(jobs.fail, failure_ttl=0): ("raised", 1),
    }
    expected = {job.id: of_it for job, of_it in deaths.items()}
    workers = [stage.worker(), stage.worker()]

    stage.until(lambda: DeadLetter.objects.count() == len(expected))
    until_no_job_is_left(stage)
    for worker in workers:
        end(worker)
    letters = DeadLetter.objects.all()
    assert {each.job_id: (each.reason, each.attempts) for each in letters} == expected
    for letter in letters:
        assert [each.number for each in letter.history] == list(range(letter.attempts))
        assert all(each.started_at and each.worker_name for each in letter.history)


def test_a_job_that_runs_out_of_memory_says_so_and_its_horse_goes_on(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_own_pid, stage.path)
    django_rq.enqueue(jobs.run_out_of_memory, stage.path)
    django_rq.enqueue(jobs.record_own_pid, stage.path)
    stage.worker()

    letter = stage.letter()
    assert (letter.error_class, letter.category) == ("builtins.MemoryError", "resource")
    stage.until(lambda: len(stage.lines) == 3)
    assert stage.lines[0] == stage.lines[2]


def test_a_job_that_is_killed_for_its_memory_is_one_letter(stage: Stage) -> None:
    """No test may have a kernel's limits: the signal is the one that it would send."""
    django_rq.enqueue(jobs.eat_memory_until_killed, stage.path)
    stage.worker()
    stage.until(lambda: stage.lines)
    os.kill(int(stage.lines[0]), signal.SIGKILL)

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("killed", 1)
    until_no_job_is_left(stage)


def test_a_job_whose_module_was_deleted_after_it_was_enqueued_is_not_importable(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("deleted_later", "kept"):
        (tmp_path / f"{name}.py").write_text("from tests.jobs import record as recorded\n" + WORK)
        module = __import__(name)
        monkeypatch.delitem(sys.modules, name)
        django_rq.enqueue(module.work, stage.path, name)
    (tmp_path / "deleted_later.py").unlink()
    stage.worker(environment={"PYTHONPATH": str(tmp_path)})

    letter = stage.letter()
    assert (letter.reason, letter.handler) == ("not_importable", "deleted_later.work")
    stage.until_lines("kept")
    until_no_job_is_left(stage)


WORK = """
def work(path, value):
    recorded(path, value)
"""


# ---- in Redis, where no worker of ours sees it


@in_redis
@pytest.mark.parametrize(
    ("page", "options", "failure_ttl"),
    [
        ("", PLAIN, None),
        ("queues/1/started/", PLAIN, None),
        ("queues/1/started/", [], None),
        ("stats.json", [], 0),
        ("", [], 0),
    ],
)
def test_an_abandoned_job_that_a_page_of_the_dashboard_buries_is_one_letter(
    stage: Stage, admin_client: Client, page: str, options: list[str], failure_ttl: int | None
) -> None:
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600, failure_ttl=failure_ttl)
    worker = stage.worker(options=options, settings=SHORT_LEASE)
    stage.until_lines("begin one")
    worker.kill_all()
    with stage.redis.client() as client:
        for entry in client.zrange("rq:wip:default", 0, -1):
            client.zadd("rq:wip:default", {entry: 1})  # its lease has run out
    assert admin_client.get(f"/django-rq/{page}").status_code == 200
    with stage.redis.client() as client:
        assert not client.zcard("rq:wip:default")

    end_of_it = [stage.worker(settings=SHORT_LEASE) for _ in range(2)]
    letter = stage.letter()
    assert (letter.job_id, letter.reason, letter.attempts) == (job.id, "abandoned", 1)
    until_no_job_is_left(stage)
    for worker in end_of_it:
        end(worker)
    assert stage.lines == ["begin one"]
    assert FailedAttempt.objects.count() == DeadLetter.objects.count() == 1


def leave_in_intermediate_queue(stage: Stage, job: Job) -> None:
    """What a plain worker leaves that was killed right after its pop, more than a minute ago."""
    with stage.redis.client() as client:
        client.rpush(INTERMEDIATE, job.id)
        client.set(f"{INTERMEDIATE}:first_seen:{job.id}", client.time()[0] - 120)


@in_redis
def test_a_job_that_is_stuck_in_rqs_intermediate_queue_is_one_letter(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "stuck")
    leave_in_intermediate_queue(stage, job)
    with stage.redis.client() as client:
        client.delete(QUEUE)
    stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, "abandoned")
    until_no_job_is_left(stage)
    stage.until_state(job.id, JobState.DEAD)
    assert stage.lines == []


@in_redis
def test_a_job_that_was_put_back_or_has_run_since_is_not_buried_for_what_a_worker_left_behind(
    stage: Stage,
) -> None:
    """Reconcile puts it back into its list, for Redis says that it waits and has it nowhere."""
    ended = django_rq.enqueue(jobs.record, stage.path, "one")
    stage.worker(options=["--burst"]).wait()
    waiting = django_rq.enqueue(jobs.record, stage.path, "two")
    for job in (ended, waiting):
        leave_in_intermediate_queue(stage, job)
    with stage.redis.client() as client:
        client.set("rq:suspended", 1)
        worker = stage.worker()
        stage.until(lambda: not client.llen(INTERMEDIATE))
        client.delete("rq:suspended")
    stage.until_lines("one", "two")
    end(worker)
    assert [job.get_status() for job in (ended, waiting)] == [JobStatus.FINISHED] * 2
    assert not DeadLetter.objects.exists()


@in_redis
@pytest.mark.parametrize("failure_ttl", [None, 0])
def test_a_job_that_dies_in_its_caller_is_one_letter(stage: Stage, failure_ttl: int | None) -> None:
    """A queue with ``ASYNC: False``: no worker has ever seen the job."""
    queue = django_rq.get_queue(is_async=False)
    job = queue.enqueue(jobs.record_and_fail, stage.path, "one", failure_ttl=failure_ttl)
    stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason, letter.attempts) == (job.id, "raised", 1)
    assert (letter.error_class, letter.message) == ("ValueError", "on purpose: one")
    assert letter.history.count() == 1
    until_no_job_is_left(stage)
    assert stage.lines == ["one"]


@in_redis
def test_a_row_that_was_tampered_with_is_a_letter_when_redis_has_lost_its_job(
    stage: Stage,
) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "tampered")
    FallbackJob.objects.update(payload=b"1" + b"x" * 64)
    stage.redis.flush()
    stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason, letter.attempts) == (job.id, "undecodable", 0)
    until_no_job_is_left(stage)
    assert stage.lines == []
