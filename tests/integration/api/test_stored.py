"""Rows of the outbox, outages and workers over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import pause_queue
from django_resilient_queue.models import FallbackJob, Outage, WorkerHeartbeat
from example_project.servers import RedisServer
from tests import rows
from tests.conftest import load_scripts, reset_process_state
from tests.enqueueing import queue
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)


def get(path: str, **query: Any) -> Any:
    return client().get(f"{ROOT}{path}", query)


def post(path: str, body: dict[str, Any] | None = None) -> Any:
    return client().post(f"{ROOT}{path}", body or {}, format="json")


def ids(**query: Any) -> list[str]:
    return [each["id"] for each in get("fallback/", **query).json()["results"]]


def test_rows_are_listed_by_state_queue_and_age(redis_server: RedisServer) -> None:
    hour = timedelta(hours=1)
    for name, state in (("a", "ready"), ("b", "dispatched"), ("c", "ready")):
        rows.make_job(name, state=state)
    FallbackJob.objects.filter(job_id="a").update(created_at=timezone.now() - 2 * hour)
    FallbackJob.objects.filter(job_id="b").update(created_at=timezone.now() - hour)
    FallbackJob.objects.filter(job_id="c").update(queue_name="low", created_at=timezone.now())
    assert ids() == ["c", "b", "a"]
    assert ids(state="ready") == ["c", "a"]
    assert ids(queue="low") == ["c"]
    assert ids(older_than=1800) == ["a", "b"]
    assert get("fallback/", state="lost").status_code == 400


def test_pages_of_the_oldest_follow_each_other(redis_server: RedisServer) -> None:
    for number in range(5):
        rows.make_job(f"job-{number}", state="ready")
    FallbackJob.objects.update(created_at=timezone.now() - timedelta(hours=1))
    first = get("fallback/", older_than=60, limit=3).json()
    second = client().get(first["next"]).json()
    found = [each["id"] for each in first["results"] + second["results"]]
    assert found == [f"job-{number}" for number in range(5)]


def test_a_row_says_why_it_waits_and_nothing_of_what_it_carries(redis_server: RedisServer) -> None:
    redis_server.kill()
    job = queue().enqueue(succeed, "secret")
    answer = get(f"fallback/{job.id}/")
    assert "secret" not in answer.text
    found = answer.json()
    assert (found["state"], found["standing"], found["may_be_in_redis"]) == (
        "ready",
        "stored",
        False,
    )
    assert found["age"] < 60
    pause_queue("default")
    assert get(f"fallback/{job.id}/").json()["standing"] == "paused"
    assert get("fallback/no-such-job/").status_code == 404


def test_stored_jobs_are_drained_at_once(redis_server: RedisServer) -> None:
    redis_server.kill()
    queue().enqueue(succeed, 1)
    assert post("fallback/drain/").status_code == 503
    redis_server.start()
    load_scripts(redis_server)
    reset_process_state()
    assert post("fallback/drain/").json() == {"drained": 1, "more": False, "stopped_by": ""}
    assert queue().count == 1
    assert post("fallback/drain/").json() == {"drained": 0, "more": False, "stopped_by": ""}


def test_outages_are_listed_and_shown() -> None:
    past, present = rows.make_outage("a"), rows.make_outage("b", ended_at=None)
    Outage.objects.filter(pk=past.pk).update(jobs_executed=7)
    found = get("outages/").json()["results"]
    assert [each["broker"] for each in found] == ["b", "a"]
    assert get(f"outages/{present.pk}/").json()["ended_at"] is None
    assert get(f"outages/{past.pk}/").json()["jobs_executed"] == 7
    assert get("outages/999/").status_code == 404


def test_a_worker_is_shown_and_asked_to_stop(redis_server: RedisServer) -> None:
    rows.make_worker("w-1", queues="high,default")
    [found] = get("workers/").json()["results"]
    assert (found["queues"], found["jobs_in_hand"]) == (["high", "default"], ["job-in-hand"])
    assert "token-of-the-claim" not in get("workers/w-1/").text
    assert not get("workers/w-1/").json()["stopping"]
    assert post("workers/w-1/stop/").json()["stopping"]
    assert WorkerHeartbeat.objects.get().is_to_stop
    assert post("workers/w-1/stop/").status_code == 409
    assert post("workers/w-2/stop/").status_code == 404


def test_a_worker_that_was_started_under_the_name_since_is_not_asked(
    redis_server: RedisServer,
) -> None:
    rows.make_worker("w-1")
    seen = get("workers/w-1/").json()["started_at"]
    WorkerHeartbeat.objects.update(started_at=rows.NOON + timedelta(microseconds=1))
    answer = post("workers/w-1/stop/", {"started_at": seen})
    assert (answer.status_code, answer.json()["code"]) == (409, "restarted")
    assert not WorkerHeartbeat.objects.get().is_to_stop
    seen = get("workers/w-1/").json()["started_at"]
    assert post("workers/w-1/stop/", {"started_at": seen}).json()["stopping"]


def test_a_worker_is_known_by_its_start_whatever_format_moments_have(
    redis_server: RedisServer, settings: Settings
) -> None:
    short = "%Y-%m-%d %H:%M"
    settings.REST_FRAMEWORK = {"DATETIME_FORMAT": short, "DATETIME_INPUT_FORMATS": [short]}
    rows.make_worker("w-1", started_at=rows.NOON + timedelta(microseconds=1))
    seen = get("workers/w-1/").json()["started_at"]
    assert post("workers/w-1/stop/", {"started_at": seen}).json()["stopping"]
