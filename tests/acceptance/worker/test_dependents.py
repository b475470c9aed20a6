"""Jobs that wait for others: when they run, however those ended, and what they find of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import django_rq
import pytest
from django.db import transaction
from rq import Retry
from rq.command import send_stop_job_command
from rq.job import Dependency, Job

from django_resilient_queue.job_info import JobState
from tests import jobs
from tests.acceptance.worker.stage import DATABASE, Stage, in_database, in_redis
from tests.conftest import reset_process_state


def bring_redis_back(stage: Stage) -> None:
    """Only rq knows when the last of a job's parents is done."""
    if stage.mode == DATABASE:
        stage.redis.start()


def enqueue_children(stage: Stage, parent: Job) -> Job:
    """One that runs whatever becomes of its parent, and one that waits for a success."""
    brave = Dependency(jobs=[parent], allow_failure=True)
    waiting = django_rq.enqueue(jobs.record, stage.path, "waits", depends_on=parent)
    django_rq.enqueue(jobs.record, stage.path, "brave", depends_on=brave)
    return waiting


def test_a_dependent_finds_what_its_parents_returned(stage: Stage) -> None:
    parents = [django_rq.enqueue(jobs.succeed, {"sum": number}) for number in (1, 2)]
    django_rq.enqueue(jobs.record_results_of_parents, stage.path, depends_on=parents)
    stage.worker()
    for parent in parents:
        stage.until_state(parent.id, JobState.COMPLETED)

    bring_redis_back(stage)
    stage.until(lambda: sorted(stage.lines) == ["{'sum': 1}", "{'sum': 2}"])


def test_a_dependent_runs_though_nothing_is_kept_of_its_parent(stage: Stage) -> None:
    parent = django_rq.enqueue(jobs.record, stage.path, "parent", result_ttl=0)
    django_rq.enqueue(jobs.record, stage.path, "child", depends_on=parent)
    stage.worker()
    stage.until(lambda: stage.lines)

    bring_redis_back(stage)
    stage.until_lines("parent", "child")


# The last of a chain is the most urgent, or the least: neither may come before its turn.
@pytest.mark.parametrize("names", [("low", "default", "high"), ("high", "default", "low")])
def test_a_chain_of_dependents_runs_in_its_order(stage: Stage, names: Sequence[str]) -> None:
    enqueue_chain(stage, names)
    stage.worker("high", "default", "low")
    stage.until_lines(*(names if stage.mode == "redis" else names[:1]))

    bring_redis_back(stage)
    stage.until_lines(*names)


@pytest.mark.parametrize("names", [("low", "default", "high"), ("high", "default", "low")])
def test_a_chain_that_no_worker_has_seen_keeps_its_order_when_redis_comes_back_empty(
    stage: Stage, names: Sequence[str]
) -> None:
    enqueue_chain(stage, names)
    stage.redis.kill()
    stage.redis.start()
    stage.worker("high", "default", "low")
    stage.until_lines(*names)


@in_database
@pytest.mark.parametrize("around", [nullcontext, transaction.atomic])
def test_a_dependent_waits_for_a_job_that_is_not_back_in_redis_yet(
    stage: Stage, around: Callable[[], AbstractContextManager[object]]
) -> None:
    parent = django_rq.enqueue(jobs.record, stage.path, "parent")
    stage.redis.start()
    with around():
        django_rq.enqueue(jobs.record, stage.path, "child", depends_on=parent)
    stage.worker()
    stage.until_lines("parent", "child")


@in_redis
def test_a_dependent_waits_for_a_job_that_redis_has_just_lost(stage: Stage) -> None:
    parent = django_rq.enqueue(jobs.record, stage.path, "parent")
    stage.redis.kill()
    stage.redis.start()
    reset_process_state()
    django_rq.enqueue(jobs.record, stage.path, "child", depends_on=parent)
    stage.worker()
    stage.until_lines("parent", "child")


def enqueue_chain(stage: Stage, names: Sequence[str]) -> None:
    """One job a queue, each waiting for the one before it."""
    parent: Job | None = None
    for name in names:
        queue = django_rq.get_queue(name)
        parent = queue.enqueue(jobs.record, stage.path, name, depends_on=parent)


@in_redis
def test_a_dependent_of_several_waits_for_the_last_of_them(stage: Stage) -> None:
    first = django_rq.enqueue(jobs.record, stage.path, "first")
    last = django_rq.enqueue(jobs.record_when_released, stage.path, "last", stage.gate())
    django_rq.enqueue(jobs.record, stage.path, "child", depends_on=[first, last])
    stage.worker()
    stage.until_lines("first", "begin last")
    stage.worker()
    django_rq.enqueue(jobs.record, stage.path, "free")
    stage.until_lines("first", "begin last", "free")

    stage.open(stage.gate())
    stage.until_lines("first", "begin last", "free", "last", "child")


def test_a_dependent_waits_while_its_parent_is_tried_again(stage: Stage) -> None:
    parent = django_rq.enqueue(
        jobs.record_and_fail_at_first, stage.path, "parent", retry=Retry(max=1)
    )
    brave = Dependency(jobs=[parent], allow_failure=True)
    django_rq.enqueue(jobs.record, stage.path, "child", depends_on=brave)
    stage.worker()
    stage.until_state(parent.id, JobState.COMPLETED)

    bring_redis_back(stage)
    stage.until_lines("parent", "parent", "child")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (jobs.record_and_kill_own_process, "killed"),
        (jobs.record_and_return_retry, "retries_exceeded"),
        (jobs.record_slowly, "timeout"),
    ],
)
def test_a_dependent_that_allows_failure_runs_however_its_parent_dies(
    stage: Stage, function: Callable[..., object], reason: str
) -> None:
    values = [600] if function is jobs.record_slowly else []
    parent = django_rq.enqueue(function, stage.path, "parent", *values, job_timeout=1)
    waiting = enqueue_children(stage, parent)
    stage.worker()
    assert stage.letter().reason == reason

    bring_redis_back(stage)
    stage.until(lambda: "brave" in stage.lines)
    stage.until_state(waiting.id, JobState.DELAYED)
    assert "waits" not in stage.lines


@in_redis
def test_a_dependent_of_a_stopped_job_goes_on_waiting_as_in_rq(stage: Stage) -> None:
    parent = django_rq.enqueue(jobs.record_slowly, stage.path, "parent", 600)
    waiting = enqueue_children(stage, parent)
    stage.worker()
    stage.until_lines("begin parent")

    send_stop_job_command(parent.connection, parent.id)
    stage.until_state(parent.id, JobState.CANCELLED)
    django_rq.enqueue(jobs.record, stage.path, "next")
    stage.until_lines("begin parent", "next")
    assert stage.state(waiting.id) == JobState.DELAYED


@in_redis
def test_a_dependent_runs_when_whoever_cancels_its_parent_says_so(stage: Stage) -> None:
    parent = django_rq.get_queue("low").enqueue(jobs.record, stage.path, "parent")
    brave = Dependency(jobs=[parent], allow_failure=True)
    child = django_rq.enqueue(jobs.record, stage.path, "child", depends_on=brave)
    stage.worker()
    stage.until_worker_uses("redis")
    assert stage.state(child.id) == JobState.DELAYED

    parent.cancel(enqueue_dependents=True)
    stage.until_lines("child")
    stage.until(lambda: stage.row(parent.id) is None)
    assert stage.state(parent.id) == JobState.CANCELLED
