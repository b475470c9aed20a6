"""Attempts that fail, in either store: the retries, the one dead letter, and the next job."""

from __future__ import annotations

import os
import pickle
import signal
from datetime import timedelta

import django_rq
import pytest
from django.utils import timezone
from rq import Callback, Retry
from rq.command import send_stop_job_command
from rq.job import Job, JobStatus

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, FallbackJob
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_database, in_redis

# ---- retries


def test_a_job_that_raises_with_no_retry_left_is_one_dead_letter(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_and_fail, stage.path, "one")
    worker = stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.queue_name, letter.attempts) == (job.id, "default", 1)
    assert (letter.reason, letter.error_class) == ("raised", "builtins.ValueError")
    assert (letter.handler, letter.message) == ("tests.jobs.record_and_fail", "on purpose: one")
    assert 'raise ValueError(f"on purpose: {value}")' in letter.traceback
    assert letter.worker_name
    stage.until_state(job.id, JobState.DEAD)
    worker.terminate()
    assert worker.wait() == 0
    assert stage.lines == ["one"]
    assert DeadLetter.objects.count() == 1


def test_retries_without_interval_run_at_once_and_then_the_job_is_dead(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one", retry=Retry(max=2))
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("raised", 3)
    assert stage.lines == ["one"] * 3


def test_a_retry_with_an_interval_waits_for_its_time(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one", retry=Retry(1, interval=2))
    failed_at = timezone.now()
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("raised", 2)
    assert (letter.died_at - failed_at).total_seconds() >= 2


def test_what_an_attempt_saved_into_meta_is_there_for_the_next_and_in_the_letter(
    stage: Stage,
) -> None:
    django_rq.enqueue(jobs.count_in_meta_and_fail, stage.path, retry=Retry(max=1))
    stage.worker()

    letter = stage.letter()
    assert stage.lines == ["1", "2"]
    assert pickle.loads(letter.snapshot.fields["meta"]) == {"attempts": 2}


def test_a_returned_retry_runs_again_until_its_max(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_return_retry, stage.path, "one", 2)
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("retries_exceeded", 3)
    assert stage.lines == ["one"] * 3


# ---- how an attempt can end


def test_a_job_that_takes_too_long_dies_of_timeout(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600, job_timeout=1)
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.error_class) == ("timeout", "rq.timeouts.JobTimeoutException")
    assert "one" not in stage.lines


def test_a_job_that_ignores_its_timeout_is_killed_after_the_grace(stage: Stage) -> None:
    django_rq.enqueue(jobs.ignore_the_alarm, stage.path, job_timeout=1)
    stage.worker(settings={"KILL_GRACE": 0.2})

    assert stage.letter().reason == "timeout"
    assert len(stage.lines) <= 1  # none where the machine paused it for so long before it began


def test_a_job_whose_horse_is_killed_is_dead_and_the_next_has_a_new_horse(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_kill_own_process, stage.path, "one")
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker()

    letter = stage.letter()
    assert letter.reason == "killed"
    assert "signal 9" in letter.message
    stage.until_lines("one", "two")


def test_a_job_whose_horse_the_kernel_kills_is_dead_and_the_next_has_a_new_horse(
    stage: Stage,
) -> None:
    """To the worker, SIGKILL from outside is what the kernel does when memory runs out."""
    django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600)
    django_rq.enqueue(jobs.record, stage.path, "two")
    worker = stage.worker()
    stage.until_lines("begin one")
    (horse,) = worker.horses
    os.kill(horse, signal.SIGKILL)

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("killed", 1)
    assert "signal 9" in letter.message
    stage.until_lines("begin one", "two")


def test_a_job_whose_horse_is_killed_runs_again_while_it_has_retries(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_kill_own_process, stage.path, "one", retry=Retry(max=1))
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("killed", 2)
    assert stage.lines == ["one", "one"]


def test_a_job_that_raises_system_exit_fails_and_its_horse_goes_on(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_exit, stage.path, "one")
    django_rq.enqueue(jobs.record_own_pid, stage.path)
    worker = stage.worker()

    assert stage.letter().error_class == "builtins.SystemExit"
    stage.until(lambda: len(stage.lines) == 2)
    assert worker.is_running


def test_an_error_that_no_database_text_can_hold_is_still_a_letter(stage: Stage) -> None:
    django_rq.enqueue(jobs.fail, "nul \0 and half a pair \ud83d")
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker()

    assert stage.letter().reason == "raised"
    stage.until_lines("two")


# ---- jobs that can't be executed at all


@pytest.mark.parametrize("name", ["tests.jobs.gone", "tests.no_module.gone"])
def test_a_function_that_is_not_there_any_more_is_not_importable(stage: Stage, name: str) -> None:
    django_rq.get_queue().enqueue(name, stage.path)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.handler) == ("not_importable", name)
    stage.until_lines("two")


@in_database
def test_a_row_that_was_tampered_with_is_never_unpickled_and_the_worker_goes_on(
    stage: Stage,
) -> None:
    bad = django_rq.enqueue(jobs.record, stage.path, "tampered")
    django_rq.enqueue(jobs.record, stage.path, "good")
    row = FallbackJob.objects.get(job_id=bad.id)
    FallbackJob.objects.filter(pk=row.pk).update(
        payload=bytes(row.payload).replace(b"rq", b"qr") + b"x"
    )
    worker = stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (bad.id, "undecodable")
    stage.until_lines("good")
    assert worker.is_running
    assert stage.row(bad.id) is None


# Each is what a bug in other software, or a hand at redis-cli, could leave in a hash.
@in_redis
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", b"no pickle"),
        ("created_at", b"yesterday"),
        ("enqueued_at", b"yesterday"),
        ("timeout", b"soon"),
        ("success_callback_timeout", b"soon"),
        ("retries_left", b"some"),
    ],
)
def test_a_hash_that_can_not_be_read_is_undecodable_and_the_worker_goes_on(
    stage: Stage, field: str, value: bytes
) -> None:
    bad = django_rq.enqueue(jobs.record, stage.path, "corrupted")
    django_rq.enqueue(jobs.record, stage.path, "good")
    with stage.redis.client() as client:
        client.hset(bad.key, field, value)
    worker = stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (bad.id, "undecodable")
    stage.until_lines("good")
    assert worker.is_running


def test_the_row_of_a_queue_that_no_setting_knows_becomes_a_letter(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "stranger")
    FallbackJob.objects.update(
        queue_name="closed-long-ago", created_at=timezone.now() - timedelta(hours=1)
    )
    if stage.mode == "redis":
        stage.redis.flush()
    stage.worker()

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, "unknown_queue")
    assert stage.lines == []


# ---- what rq keeps of it


def test_a_failure_ttl_of_zero_leaves_the_letter_and_nothing_else(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_and_fail, stage.path, "one", failure_ttl=0)
    stage.worker()

    assert stage.letter().job_id == job.id
    stage.until(lambda: stage.row(job.id) is None)
    if stage.mode == "database":
        stage.redis.start()
        stage.until_worker_uses("redis")
    with stage.redis.client() as client:
        stage.until(lambda: not client.exists(job.key))
        assert not client.zcard("rq:failed:default")


@in_redis
def test_a_dead_job_is_in_the_failed_registry_as_rq_would_have_left_it(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_and_fail, stage.path, "one")
    stage.worker()

    stage.letter()
    stage.until(lambda: job.get_status() == JobStatus.FAILED)
    job.refresh()
    assert job.id in django_rq.get_queue().failed_job_registry.get_job_ids()
    result = job.latest_result()
    assert result is not None
    assert "on purpose: one" in str(result.exc_string)


@in_redis
def test_a_job_that_an_operator_stops_is_cancelled_and_no_letter(stage: Stage) -> None:
    job = django_rq.enqueue(
        jobs.record_slowly,
        stage.path,
        "one",
        60,
        on_stopped=Callback(jobs.note_stopped),
        retry=Retry(max=2),
    )
    django_rq.enqueue(jobs.record, stage.path, "two")
    worker = stage.worker()
    stage.until_lines("begin one")
    stage.until(lambda: Job.fetch(job.id, job.connection).worker_name)

    send_stop_job_command(job.connection, job.id)
    stage.until_lines("begin one", "stopped", "two")
    stage.until_state(job.id, JobState.CANCELLED)
    assert job.get_status() == JobStatus.STOPPED
    worker.terminate()
    assert worker.wait() == 0
    assert not DeadLetter.objects.exists()
    assert stage.row(job.id) is None


@in_redis
def test_a_job_deleted_while_it_waits_is_not_brought_back(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "deleted")
    stage.worker("low")  # keeps both stores in line, and runs none of these jobs
    stage.until(lambda: row.checks if (row := stage.row(job.id)) else False)

    job.delete()
    stage.until(lambda: stage.row(job.id) is None)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker("default")
    stage.until_lines("two")
    assert get_job(job.id) is None
