"""Numbers, pauses, cleaning and health over HTTP; and what is answered while stores are away."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from rq.job import Job, JobStatus

from django_resilient_queue.models import FallbackJob
from example_project.servers import RedisServer, ServerProcess
from tests.enqueueing import queue, take_away
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
SUM = {"type": "sum:add", "data": {"a": 1}}


def post(path: str, body: Any = None) -> Any:
    return client().post(f"{ROOT}{path}", body or {}, format="json")


def test_numbers_are_by_queue_and_store(redis_server: RedisServer) -> None:
    queue("high").enqueue(succeed, 1)
    found = client().get(f"{ROOT}stats/").json()
    assert (found["waiting"], found["active"], found["dead"]) == (1, 0, 0)
    [high] = [each for each in found["queues"] if each["name"] == "high"]
    assert (high["redis"]["waiting"], high["database"]["waiting"]) == (1, 0)


def test_queues_are_paused_and_resumed(redis_server: RedisServer) -> None:
    assert post("pause/", {"queue": "high"}).json() == {"changed": True, "paused": ["high"]}
    assert post("pause/").json() == {"changed": True, "paused": ["*", "high"]}
    assert post("resume/", {"queue": "high"}).json() == {"changed": True, "paused": ["*"]}
    assert post("resume/").json() == {"changed": True, "paused": []}
    assert post("pause/", {"queue": "no such"}).json()["errors"]["queue"]


def ended(status: JobStatus, seconds: int, **more: Any) -> Job:
    """A job of which rq has a record."""
    job = queue().create_job(succeed, args=(1,))
    job.ended_at = datetime.now(UTC) - timedelta(seconds=seconds)
    job._status = status
    job.save()
    if more:
        job.connection.hset(job.key, mapping=dict(more.items()))
    registry = queue().finished_job_registry
    if status is JobStatus.FAILED:
        registry = queue().failed_job_registry
    registry.add(job, 1000)
    return job


def test_old_records_of_finished_jobs_are_deleted(redis_server: RedisServer) -> None:
    old, new = ended(JobStatus.FINISHED, 100), ended(JobStatus.FINISHED, 1)
    assert post("clean/completed/", {"older_than": 50}).json() == {"removed": 1}
    assert not Job.exists(old.id, old.connection)
    assert Job.exists(new.id, new.connection)


def test_a_death_that_has_no_letter_yet_is_kept(redis_server: RedisServer) -> None:
    unseen, told = ended(JobStatus.FAILED, 100), ended(JobStatus.FAILED, 100, drq_lettered="g")
    assert post("clean/failed/", {"older_than": 50}).json() == {"removed": 1}
    assert Job.exists(unseen.id, unseen.connection)
    assert not Job.exists(told.id, told.connection)


def test_health_is_for_all_and_its_report_for_some(redis_server: RedisServer) -> None:
    short, whole = client("nothing").get(f"{ROOT}health/"), client().get(f"{ROOT}health/")
    assert set(short.json()) == {"status", "reasons"}
    assert "queues" in whole.json()


# ---- stores that are away ---------------------------------------------------------------------

CALLS: dict[str, Callable[[], Any]] = {
    "submit": lambda: post("jobs/", SUM),
    "list": lambda: client().get(f"{ROOT}jobs/"),
    "look": lambda: client().get(f"{ROOT}jobs/nobody/"),
    "cancel": lambda: client().delete(f"{ROOT}jobs/nobody/"),
    "stats": lambda: client().get(f"{ROOT}stats/"),
    "pause": lambda: post("pause/"),
    "clean": lambda: post("clean/completed/", {"older_than": 1}),
    "health": lambda: client().get(f"{ROOT}health/"),
    "letters": lambda: client().get(f"{ROOT}dlq/"),
    "requeue": lambda: post("dlq/1/requeue/"),
    "run": lambda: post("recovery-runs/", {"all": True}),
}
# How bad it is depends on workers, too, and there is none.
HEALTH = {206, 503}
REDIS_AWAY = {
    "submit": {201},
    "list": {200},
    "look": {404, 503},  # who else than Redis could know an id without a row?
    "cancel": {404, 503},
    "stats": {200},
    "pause": {200},
    "clean": {503},
    "health": HEALTH,
    "letters": {200},
    "requeue": {404},
    "run": {202},
}
DATABASE_REFUSES = {
    **{key: {503} for key in CALLS},
    "submit": {201},
    "look": {404},
    "cancel": {404},
    "stats": {200},
    "clean": {200},
    "health": HEALTH,
}
DATABASE_HANGS = {
    **{key: {503} for key in CALLS},
    "stats": {200},
    "clean": {200},
    "health": HEALTH,
}
BOTH_REFUSE = {**{key: {503} for key in CALLS}, "stats": {200}}
each_call = pytest.mark.parametrize("name", CALLS)
each_way = pytest.mark.parametrize("how", ["killed", "frozen"])
BOUND = 1.0


def answered(name: str) -> int:
    began = time.monotonic()
    answer = CALLS[name]()
    assert time.monotonic() - began < BOUND
    if answer.status_code == 503 and name != "health":
        assert (answer["Content-Type"], answer["Retry-After"]) == ("application/problem+json", "5")
    return int(answer.status_code)


@pytest.mark.alone
@each_way
@each_call
def test_with_redis_away_what_the_database_knows_is_answered(
    redis_server: RedisServer, name: str, how: str
) -> None:
    take_away(redis_server, how)
    assert answered(name) in REDIS_AWAY[name]


@pytest.mark.alone
@each_way
@each_call
def test_with_the_database_away_what_redis_knows_is_answered(
    redis_server: RedisServer, database_server: ServerProcess, name: str, how: str
) -> None:
    if how == "killed":
        database_server.kill()
    else:
        database_server.freeze()
    assert answered(name) in (DATABASE_REFUSES if how == "killed" else DATABASE_HANGS)[name]


@pytest.mark.alone
@each_way
@each_call
def test_with_both_away_the_client_is_told_to_come_again(
    redis_server: RedisServer, database_server: ServerProcess, name: str, how: str
) -> None:
    take_away(redis_server, how)
    if how == "killed":
        database_server.kill()
    else:
        database_server.freeze()
    assert answered(name) in BOTH_REFUSE[name]


def test_a_hundred_submissions_with_one_key_make_one_job(redis_server: RedisServer) -> None:
    def submit(_: int) -> int:
        try:
            answer = client().post(
                f"{ROOT}jobs/", SUM, format="json", headers={"Idempotency-Key": "k"}
            )
            return int(answer.status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(submit, range(100)))
    assert 201 in found
    assert found <= {201, 409, 503}
    assert FallbackJob.objects.count() == 1


def test_the_document_of_the_api_is_without_a_warning() -> None:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=out)
    assert "JobSumAdd" in out.getvalue()
    assert "discriminator" in out.getvalue()
