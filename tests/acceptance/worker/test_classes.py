"""Job classes, serializers and worker classes that a project chose itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import django_rq
import pytest
from pytest_django import Settings
from rq import Callback, Retry

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_database
from tests.conftest import reset_process_state

LOUD = "tests.acceptance.worker.classes.LoudJob"
JSON = "rq.serializers.JSONSerializer"

# ---- job classes


@pytest.fixture
def loud(stage: Stage, settings: Settings) -> dict[str, str]:
    """Has this process enqueue loud jobs; returns the environment of a worker that knows them."""
    settings.RQ = {**settings.RQ, "JOB_CLASS": LOUD}
    return {"DRQ_TEST_RQ": json.dumps({"JOB_CLASS": LOUD})}


def test_a_job_is_of_the_class_that_the_project_chose(stage: Stage, loud: dict[str, str]) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "one")
    assert job.key == f"shop:job:{job.id}"
    stage.worker(environment=loud)

    stage.until_lines("loud", "one")
    stage.until_state(job.id, JobState.COMPLETED)


def test_a_job_of_the_projects_class_is_tried_again_and_has_its_callbacks(
    stage: Stage, loud: dict[str, str]
) -> None:
    django_rq.enqueue(
        jobs.record_and_fail,
        stage.path,
        "one",
        retry=Retry(max=1),
        on_failure=Callback(jobs.note_failure),
    )
    stage.worker(environment=loud)

    assert stage.letter().attempts == 2
    assert stage.lines == ["loud", "one", "failure on purpose: one"] * 2


@in_database
def test_the_result_of_a_job_of_the_projects_class_is_in_redis_after_an_outage(
    stage: Stage, loud: dict[str, str]
) -> None:
    job = django_rq.enqueue(jobs.record_and_return, stage.path, 42)
    child = django_rq.enqueue(jobs.record, stage.path, "child", depends_on=job)
    stage.worker(environment=loud)
    stage.until_state(job.id, JobState.COMPLETED)

    stage.redis.start()
    stage.until_lines("loud", "42", "loud", "child")
    stage.until_state(child.id, JobState.COMPLETED)
    assert job.return_value(refresh=True) == 42


def test_a_worker_may_be_given_its_job_class(stage: Stage) -> None:
    job_class = "tests.acceptance.worker.classes.LouderJob"
    django_rq.enqueue(jobs.record, stage.path, "one")
    stage.worker(options=["--job-class", job_class])
    stage.until_lines("louder", "one")


# ---- serializers


@pytest.fixture
def plain_text(stage: Stage, settings: Settings) -> dict[str, Any]:
    """Has this process enqueue JSON; returns what a worker needs to read it."""
    settings.RQ_QUEUES = {
        name: {**queue, "SERIALIZER": JSON} for name, queue in settings.RQ_QUEUES.items()
    }
    reset_process_state()
    name = "tests.acceptance.worker.json_settings"
    return {
        "options": ["--serializer", JSON],
        "environment": {"DJANGO_SETTINGS_MODULE": name},
    }


def test_a_json_job_returns_json(stage: Stage, plain_text: dict[str, Any]) -> None:
    job = django_rq.enqueue(jobs.succeed, {"sum": [4, 2]})
    stage.worker(**plain_text)
    stage.until_state(job.id, JobState.COMPLETED)

    if stage.mode == "database":
        stage.redis.start()
        stage.until(lambda: stage.row(job.id) is None)
    assert job.return_value(refresh=True) == {"sum": [4, 2]}
    with stage.redis.client() as client:
        (entry,) = client.xrange(f"rq:results:{job.id}")
        assert b"pickle" not in entry[1][b"return_value"]


def test_a_json_job_saves_meta_fails_and_has_its_callbacks(
    stage: Stage, plain_text: dict[str, Any]
) -> None:
    job = django_rq.enqueue(
        jobs.count_in_meta_and_fail,
        stage.path,
        retry=Retry(max=1),
        on_failure=Callback(jobs.note_failure),
    )
    stage.worker(**plain_text)

    letter = stage.letter()
    assert (letter.reason, letter.attempts) == ("raised", 2)
    failed = [f"failure on purpose: {number}" for number in (1, 2)]
    assert stage.lines == ["1", failed[0], "2", failed[1]]
    found = get_job(job.id)
    assert found is not None
    assert found.meta == {"attempts": 2}


def test_a_json_job_may_return_retry_and_what_json_refuses(
    stage: Stage, plain_text: dict[str, Any]
) -> None:
    django_rq.enqueue(jobs.record_and_return_retry, stage.path, "again")
    odd = django_rq.enqueue(jobs.return_what_pickle_refuses)
    stage.worker(**plain_text)

    assert stage.letter().reason == "retries_exceeded"
    assert stage.lines == ["again", "again"]
    stage.until_state(odd.id, JobState.COMPLETED)


# ---- worker classes


def enqueue_on_each(stage: Stage, count: int) -> None:
    for name in ("high", "default", "low"):
        for _ in range(count):
            django_rq.get_queue(name).enqueue(jobs.record, stage.path, name)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("RoundRobin", ["high", "default", "low"] * 3),
        ("LastFirst", ["high", "low", "high", "low", "high", "low", "default", "default"]),
    ],
)
def test_a_worker_asks_its_queues_in_the_order_that_its_class_says(
    stage: Stage, kind: str, lines: Sequence[str]
) -> None:
    enqueue_on_each(stage, 3)
    stage.worker(
        "high",
        "default",
        "low",
        options=["--burst", "--worker-class", f"tests.acceptance.worker.classes.{kind}"],
    ).wait()
    assert stage.lines[: len(lines)] == list(lines)
    assert len(stage.lines) == 9


def test_a_worker_that_asks_its_queues_at_random_leaves_none_out(stage: Stage) -> None:
    enqueue_on_each(stage, 3)
    options = ["--burst", "--worker-class", "tests.acceptance.worker.classes.Random"]
    stage.worker("high", "default", "low", options=options).wait()
    assert sorted(stage.lines) == sorted(["high", "default", "low"] * 3)
