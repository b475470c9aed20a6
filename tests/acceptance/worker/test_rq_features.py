"""What rq's users rely on beside plain jobs: it holds in either store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django_rq
import pytest
from pytest_django import Settings
from rq import Callback, Repeat, Webhook
from rq.job import Dependency
from rq.rate_limit import RateLimit

from django_resilient_queue.job_info import JobState
from example_project.servers import RedisServer
from tests import jobs
from tests.acceptance.worker.stage import Stage, frozen, in_redis, killed

# ---- callbacks and handlers


def test_the_success_callback_runs_after_the_job(stage: Stage) -> None:
    django_rq.enqueue(jobs.record, stage.path, "one", on_success=Callback(jobs.note_success))
    stage.worker()
    stage.until_lines("one", "success None")


def test_the_failure_callback_runs_with_the_error(stage: Stage) -> None:
    django_rq.enqueue(
        jobs.record_and_fail, stage.path, "one", on_failure=Callback(jobs.note_failure)
    )
    stage.worker()
    stage.until_lines("one", "failure on purpose: one")


def test_a_success_callback_that_raises_fails_the_job(stage: Stage) -> None:
    django_rq.enqueue(jobs.record, stage.path, "one", on_success=Callback(jobs.note_too_much))
    stage.worker()
    assert stage.letter().error_class == "builtins.TypeError"


def test_the_projects_exception_handlers_hear_of_a_failure(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_and_fail, stage.path, "one")
    settings = "tests.acceptance.worker.handler_settings"
    stage.worker(environment={"DJANGO_SETTINGS_MODULE": settings})

    stage.until_lines("one", "handled on purpose: one")
    assert stage.letter().reason == "raised"


@pytest.mark.parametrize(
    ("job", "status"), [(jobs.record, "finished"), (jobs.record_and_fail, "failed")]
)
def test_a_webhook_is_sent_once_also_after_the_way_back(
    stage: Stage, posts: tuple[str, list[dict[str, Any]]], job: Callable[..., None], status: Any
) -> None:
    url, received = posts
    hooks = [Webhook(url, status, method="POST")]
    enqueued = django_rq.enqueue(job, stage.path, "one", webhooks=hooks)
    worker = stage.worker()
    stage.until(lambda: received)

    if stage.mode == "database":
        stage.redis.start()
    stage.until(lambda: stage.row(enqueued.id) is None)
    worker.terminate()
    assert worker.wait() == 0
    assert [(post["job_id"], post["status"]) for post in received] == [(enqueued.id, status)]


# ---- jobs that wait for others


def test_a_dependent_runs_after_its_parent(stage: Stage) -> None:
    parent = django_rq.enqueue(jobs.record_slowly, stage.path, "parent", 0.2)
    child = django_rq.enqueue(jobs.record, stage.path, "child", depends_on=parent)
    stage.worker()
    stage.until_lines("begin parent", "parent", *(["child"] if stage.mode == "redis" else []))

    if stage.mode == "database":
        # Only rq knows when the last of its parents is done.
        assert stage.state(child.id) == JobState.DELAYED
        stage.redis.start()
    stage.until_lines("begin parent", "parent", "child")


@in_redis
@pytest.mark.parametrize("outage", [frozen, killed])
def test_a_dependent_in_redis_runs_though_its_parent_was_executed_in_an_outage(
    stage: Stage, outage: Callable[[RedisServer], Callable[[], object]]
) -> None:
    parent = django_rq.enqueue(jobs.record, stage.path, "parent")
    django_rq.enqueue(jobs.record, stage.path, "child", depends_on=parent)
    end = outage(stage.redis)
    stage.worker(settings={"WORKER_TIMEOUT": 0.3})
    stage.until_lines("parent")

    end()
    stage.until_lines("parent", "child")


def test_a_dependent_of_a_dead_job_waits_unless_it_allows_failure(stage: Stage) -> None:
    parent = django_rq.enqueue(jobs.record_and_fail, stage.path, "parent")
    brave = Dependency(jobs=[parent], allow_failure=True)
    waiting = django_rq.enqueue(jobs.record, stage.path, "waits", depends_on=parent)
    django_rq.enqueue(jobs.record, stage.path, "brave", depends_on=brave)
    stage.worker()
    stage.letter()

    if stage.mode == "database":
        stage.redis.start()
    stage.until_lines("parent", "brave")
    stage.until_state(waiting.id, JobState.DELAYED)


# ---- rate limits, repeats, schedules


def most_at_once(lines: list[str]) -> int:
    running, most = 0, 0
    for line in lines:
        running += 1 if line.startswith("begin ") else -1
        most = max(most, running)
    return most


def test_a_rate_limit_holds_across_workers(stage: Stage) -> None:
    limit = RateLimit("api", concurrency=1)
    for number in range(4):
        django_rq.enqueue(jobs.record_slowly, stage.path, number, 0.3, rate_limit=limit)
    stage.worker()
    stage.worker()

    stage.until(lambda: len(stage.lines) == 8)
    assert most_at_once(stage.lines) == 1


def test_jobs_that_wait_for_a_rate_limit_hold_up_no_others(stage: Stage) -> None:
    limit, gate = RateLimit("api", concurrency=1), stage.gate()
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", gate, rate_limit=limit)
    for _ in range(3):
        django_rq.enqueue(jobs.record, stage.path, "limited", rate_limit=limit)
    django_rq.enqueue(jobs.record, stage.path, "free")
    stage.worker()
    stage.until_lines("begin one")
    stage.worker()

    stage.until_lines("begin one", "free")
    stage.open(gate)
    stage.until_lines("begin one", "free", "one", "limited", "limited", "limited")


@in_redis
def test_a_rate_limit_counts_what_still_runs_when_redis_goes_away(stage: Stage) -> None:
    limit, gate = RateLimit("api", concurrency=1), stage.gate()
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", gate, rate_limit=limit)
    django_rq.enqueue(jobs.record, stage.path, "two", rate_limit=limit)
    stage.worker()
    stage.until_lines("begin one")
    stage.redis.kill()
    stage.worker()
    django_rq.enqueue(jobs.record, stage.path, "free")

    stage.until_lines("begin one", "free")
    stage.open(gate)
    stage.until_lines("begin one", "free", "one", "two")


def test_a_limit_of_the_settings_holds_across_workers(stage: Stage, settings: Settings) -> None:
    limits = {"CONCURRENCY_LIMITS": {"tests.jobs.record_slowly": 1}}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **limits}
    for number in range(4):
        django_rq.enqueue(jobs.record_slowly, stage.path, number, 0.2)
    stage.worker(settings={"CONCURRENCY": 2})
    stage.worker()

    stage.until(lambda: len(stage.lines) == 8)
    assert most_at_once(stage.lines) == 1


def test_a_repeated_job_runs_again_as_often_as_it_says(stage: Stage) -> None:
    django_rq.enqueue(jobs.record, stage.path, "one", repeat=Repeat(times=2))
    stage.worker()
    stage.until_lines("one", "one", "one")


def test_a_repeat_with_an_interval_waits_for_it(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "one", repeat=Repeat(times=1, interval=3600))
    stage.worker()

    stage.until_lines("one")
    stage.until_state(job.id, JobState.DELAYED)
    stage.make_due(job.id)
    stage.until_lines("one", "one")


def test_a_scheduled_job_runs_when_it_is_due_without_a_scheduler(stage: Stage) -> None:
    due = time.time() + 2
    django_rq.get_queue().enqueue_in(timedelta(seconds=2), jobs.record_time, stage.path)
    stage.worker()

    stage.until(lambda: stage.lines)
    # rq keeps whole seconds.
    assert int(due) <= float(stage.lines[0])


def test_a_scheduled_job_waits_while_it_is_not_due(stage: Stage) -> None:
    job = django_rq.get_queue().enqueue_in(timedelta(hours=1), jobs.record, stage.path, "later")
    stage.worker()
    django_rq.enqueue(jobs.record, stage.path, "now")
    stage.until_lines("now")
    assert stage.state(job.id) == JobState.DELAYED

    stage.make_due(job.id)
    stage.until_lines("now", "later")
