"""Numbers, pauses, cleaning and health over HTTP; and what is answered while stores are away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from rq.job import Job, JobStatus

from example_project.servers import RedisServer
from tests.enqueueing import queue
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


def test_the_document_of_the_api_is_without_a_warning() -> None:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=out)
    assert "JobSumAdd" in out.getvalue()
    assert "discriminator" in out.getvalue()
