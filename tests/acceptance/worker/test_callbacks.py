"""What is told of a job's end, to whom, in which order, and as often as it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
from rq import Callback, Retry, Webhook
from rq.command import send_stop_job_command

from django_resilient_queue.models import WorkerHeartbeat
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis

HANDLERS = "tests.acceptance.worker.handler_settings"


def handled_by(*names: str) -> dict[str, str]:
    """The environment of a worker with these exception handlers."""
    paths = [f"tests.jobs.{name}" for name in names]
    return {"DJANGO_SETTINGS_MODULE": HANDLERS, "DRQ_TEST_HANDLERS": json.dumps(paths)}


def test_exception_handlers_are_asked_in_their_order_until_one_says_no(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one")
    names = ("note_exception_silently", "note_exception_and_refuse", "note_exception")
    stage.worker(environment=handled_by(*names))

    stage.until_lines("one", "first", "last")
    assert stage.letter().reason == "raised"


def test_exception_handlers_hear_of_each_attempt(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one", retry=Retry(max=1))
    stage.worker(environment=handled_by("note_exception"))
    stage.until_lines(*["one", "handled on purpose: one"] * 2)


def test_an_exception_handler_that_fails_changes_nothing_for_the_job(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one")
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker(environment=handled_by("fail_to_handle"))

    stage.until_lines("one", "two")
    assert stage.letter().message == "on purpose: one"


def test_the_failure_callback_runs_after_each_attempt(stage: Stage) -> None:
    on_failure = Callback(jobs.note_failure)
    django_rq.enqueue(
        jobs.record_and_fail, stage.path, "one", on_failure=on_failure, retry=Retry(max=1)
    )
    stage.worker()
    stage.until_lines(*["one", "failure on purpose: one"] * 2)


def test_a_failure_callback_that_fails_is_the_recorded_failure(stage: Stage) -> None:
    on_failure = Callback(jobs.note_too_much)
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one", on_failure=on_failure)
    stage.worker()
    assert stage.letter().error_class == "builtins.TypeError"


def test_a_callback_may_be_named_by_its_path(stage: Stage) -> None:
    on_success = Callback("tests.jobs.note_success")
    django_rq.enqueue(jobs.record, stage.path, "one", on_success=on_success)
    stage.worker()
    stage.until_lines("one", "success None")


def test_a_success_callback_that_takes_too_long_fails_the_job(stage: Stage) -> None:
    on_success = Callback(jobs.take_a_minute, timeout=1)
    django_rq.enqueue(jobs.record, stage.path, "one", on_success=on_success)
    stage.worker()

    letter = stage.letter()
    assert (letter.reason, letter.error_class) == ("timeout", "rq.timeouts.JobTimeoutException")


@in_redis
def test_a_slow_callback_costs_the_other_jobs_of_its_worker_no_lease(stage: Stage) -> None:
    on_stopped = Callback(jobs.note_stopped_after_a_while)
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600, on_stopped=on_stopped)
    django_rq.enqueue(jobs.record_when_released, stage.path, "two", stage.gate())
    stage.worker(settings={"CONCURRENCY": 2})
    stage.until(lambda: len(stage.lines) == 2)
    stage.worker()
    stage.until(lambda: WorkerHeartbeat.objects.count() == 2)

    send_stop_job_command(job.connection, job.id)
    stage.until(lambda: "stopped" in stage.lines)
    django_rq.enqueue(jobs.record, stage.path, "next")
    stage.until(lambda: "next" in stage.lines)
    stage.open(stage.gate())
    stage.until(lambda: "two" in stage.lines)
    assert sorted(stage.lines) == ["begin one", "begin two", "next", "stopped", "two"]


def test_the_killed_handler_of_a_worker_hears_of_a_killed_horse(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_kill_own_process, stage.path, "one")
    kind = "tests.acceptance.worker.classes.WithKilledHandler"
    stage.worker(options=["--worker-class", kind])
    stage.until_lines("one", "killed by signal 9")


@pytest.mark.parametrize("kind", ["WithRaisingKilledHandler", "WithHangingKilledHandler"])
def test_a_killed_handler_that_fails_or_hangs_keeps_no_worker_from_its_jobs(
    stage: Stage, kind: str
) -> None:
    django_rq.enqueue(jobs.record_and_kill_own_process, stage.path, "one")
    django_rq.enqueue(jobs.record, stage.path, "next")
    worker = stage.worker(options=["--worker-class", f"tests.acceptance.worker.classes.{kind}"])
    stage.until_lines("one", "killed by signal 9", "next")
    assert stage.letter().reason == "killed"
    assert worker.is_running


def test_what_no_process_can_be_had_for_is_done_when_one_can(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_kill_own_process, stage.path, "one")
    django_rq.enqueue(jobs.record, stage.path, "next")
    kind = "tests.acceptance.worker.classes.WithFewProcesses"
    worker = stage.worker(options=["--worker-class", kind])
    stage.until(lambda: sorted(stage.lines) == ["killed by signal 9", "next", "one"])
    assert "errand put off" in worker.output
    assert "no horse" in worker.output


@pytest.mark.parametrize(
    ("function", "values", "words"),
    [
        (jobs.record_and_kill_own_process, ["one"], "signal 9"),
        (jobs.ignore_the_alarm, [], "signal 9"),
        (jobs.record_slowly, ["one", 600], "maximum timeout"),
        (jobs.record_and_return_retry, ["one"], ""),
    ],
)
def test_a_webhook_tells_of_a_death_whatever_its_cause(
    stage: Stage,
    posts: tuple[str, list[dict[str, Any]]],
    function: Callable[..., object],
    values: list[object],
    words: str,
) -> None:
    url, received = posts
    hooks = [Webhook(url, "failed", method="POST")]
    job = django_rq.enqueue(function, stage.path, *values, webhooks=hooks, job_timeout=1)
    stage.worker(settings={"KILL_GRACE": 0.2})

    stage.letter()
    stage.until(lambda: received)
    assert [(post["job_id"], post["status"]) for post in received] == [(job.id, "failed")]
    assert words in (received[0]["exc_info"] or "")


def test_all_are_told_of_a_job_that_died_with_its_workers(
    stage: Stage, posts: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = posts
    job = django_rq.enqueue(
        jobs.record_slowly,
        stage.path,
        "one",
        60,
        on_failure=Callback(jobs.note_failure_kind),
        webhooks=[Webhook(url, "failed", method="POST")],
    )
    settings = {"LEASE": 1, "HEARTBEAT_INTERVAL": 0.2, "RESCUE_LIMIT": 1}
    for times in (1, 2):
        worker = stage.worker(settings=settings)
        stage.until_lines(*["begin one"] * times)
        worker.kill()
    stage.worker(settings=settings, environment=handled_by("note_exception_kind"))

    told = ["failure AbandonedJobError", "handled AbandonedJobError"]
    stage.until_lines("begin one", "begin one", *told)
    assert stage.letter().reason == "abandoned"
    stage.until(lambda: received)
    assert [(post["job_id"], post["status"]) for post in received] == [(job.id, "failed")]


def test_a_webhook_waits_for_the_last_attempt(
    stage: Stage, posts: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = posts
    hooks = [Webhook(url, status, method="POST") for status in ("failed", "finished")]
    retry = Retry(max=1)
    django_rq.enqueue(jobs.record_and_fail_at_first, stage.path, "one", webhooks=hooks, retry=retry)
    stage.worker()
    stage.until(lambda: received)
    assert stage.lines == ["one", "one"]
    assert [post["status"] for post in received] == ["finished"]


def test_a_web_server_that_is_away_changes_nothing_for_the_job(stage: Stage) -> None:
    hooks = [Webhook("http://127.0.0.1:1/", "finished", timeout=1)]
    django_rq.enqueue(jobs.record, stage.path, "one", webhooks=hooks)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker()
    stage.until_lines("one", "two")
