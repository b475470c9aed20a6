"""Submitting, listing, looking at and cancelling jobs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from rq.job import JobStatus
from rq.results import Result

from django_resilient_queue import get_job, job_handler
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import FallbackJob, IdempotentRequest
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.idempotency import LONGEST
from example_project.servers import RedisServer
from tests.enqueueing import queue, waiting
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
SUM = {"type": "sum:add", "data": {"a": 1}}


def submit(body: Any = SUM, key: str = "", **options: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client(**options).post(f"{ROOT}jobs/", body, format="json", headers=headers)


def test_a_job_is_accepted_and_found_under_its_address(redis_server: RedisServer) -> None:
    answer = submit()
    assert answer.status_code == 201
    job_id = answer.json()["id"]
    assert answer.json() == {
        "id": job_id,
        "status": "waiting",
        "backend": "redis",
        "fallback": False,
    }
    assert waiting(redis_server) == [job_id]
    found = client().get(answer["Location"])
    assert (found.status_code, found.json()["status"], found.json()["store"]) == (
        200,
        "waiting",
        "redis",
    )


def test_while_redis_is_away_the_database_has_it(redis_server: RedisServer) -> None:
    redis_server.kill()
    answer = submit()
    assert (answer.status_code, answer.json()["backend"], answer.json()["fallback"]) == (
        201,
        "database",
        True,
    )
    assert client().get(answer["Location"]).json()["store"] == "database"


@pytest.mark.parametrize("path", ["jobs/", "jobs/batch/"])
def test_nobody_submits_an_export_in_the_name_of_another(
    redis_server: RedisServer, path: str
) -> None:
    other = User.objects.create_superuser("other")
    order = {"type": "data:export", "data": {"user": str(other.pk), "dataset": "parcels"}}
    body = {"jobs": [SUM, order]} if path == "jobs/batch/" else order
    answer = client().post(f"{ROOT}{path}", body, format="json")
    assert answer.status_code == 400
    assert "in the name of another" in str(answer.json()["errors"])
    assert waiting(redis_server) == []


def test_options_reach_the_job(redis_server: RedisServer) -> None:
    options = {"priority": 12, "delay": 60_000, "attempts": 3, "job_id": "mine"}
    answer = submit({**SUM, "options": options})
    assert (answer.json()["id"], answer.json()["status"]) == ("mine", "delayed")
    info = get_job("mine")
    assert info is not None
    assert info.job is not None
    assert (info.queue_name, info.job.retries_left) == ("high", 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "os.system", "data": {}}, "type"),
        ({"type": "sum:adds"}, "type"),
        ({"type": "sum:add", "data": {"a": -1}}, "data"),
        ({"type": "sum:add", "data": {"a": 1, "c": 1}}, "data"),
        ({**SUM, "options": {"priority": 21}}, "options"),
        ({**SUM, "options": {"urgent": True}}, "options"),
        ({**SUM, "queue": "high"}, "queue"),
        ([], "body"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    redis_server: RedisServer, body: Any, field: str
) -> None:
    answer = submit(body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert field in answer.json()["errors"] or field == "body"
    assert not FallbackJob.objects.exists()


# ---- Idempotency-Key --------------------------------------------------------------------------


def test_a_repeat_gets_the_first_answer(redis_server: RedisServer) -> None:
    first, second = submit(key="k"), submit(key="k")
    assert (second.status_code, second.json()) == (201, first.json())
    assert second["Idempotent-Replayed"] == "true"
    assert second["Location"] == first["Location"]
    assert FallbackJob.objects.count() == 1


def test_a_key_belongs_to_its_payload_user_and_route(redis_server: RedisServer) -> None:
    submit(key="k")
    assert submit({**SUM, "data": {"a": 2}}, key="k").status_code == 422
    assert submit(key="k", name="bob").status_code == 201
    assert FallbackJob.objects.count() == 2


def test_while_the_first_is_at_work_a_repeat_is_told_to_wait(redis_server: RedisServer) -> None:
    submit(key="k")
    IdempotentRequest.objects.update(status=None, answer=None)
    answer = submit(key="k")
    assert (answer.status_code, answer["Retry-After"]) == (409, "1")


@pytest.mark.parametrize("kind", ["sum:add", "note:write"])
def test_the_repeat_of_a_request_that_died_is_the_same_job(
    redis_server: RedisServer, kind: str
) -> None:
    body = {"type": kind, "data": {"a": 1}}
    first = submit(body, key="k").json()
    generation = FallbackJob.objects.get().generation
    row = IdempotentRequest.objects.get()
    IdempotentRequest.objects.update(status=None, began_at=row.began_at - LONGEST)
    second = submit(body, key="k")
    assert (second.status_code, second.json()["id"]) == (201, first["id"])
    assert FallbackJob.objects.get().generation == generation  # not enqueued again


def test_a_refused_request_does_not_use_the_key_up(redis_server: RedisServer) -> None:
    assert submit({"type": "sum:add", "data": {}}, key="k").status_code == 400
    assert submit(key="k").status_code == 201


def test_a_job_id_is_taken_once(redis_server: RedisServer) -> None:
    body = {**SUM, "options": {"job_id": "mine"}}
    assert submit(body).status_code == 201
    answer = submit(body)
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate")


# ---- many -------------------------------------------------------------------------------------


def test_a_batch_is_accepted_in_its_order_and_its_repeat_makes_nothing(
    redis_server: RedisServer,
) -> None:
    body = {"jobs": [SUM, {**SUM, "options": {"delay": 60_000}}]}
    answers = [
        client().post(f"{ROOT}jobs/batch/", body, format="json", headers={"Idempotency-Key": "b"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [job["status"] for job in answers[0].json()["jobs"]] == ["waiting", "delayed"]
    assert answers[1].json() == answers[0].json()
    assert FallbackJob.objects.count() == 2


def test_a_batch_with_one_bad_job_is_refused_whole(redis_server: RedisServer) -> None:
    body = {"jobs": [SUM, {"type": "sum:add", "data": {"a": "x"}}]}
    answer = client().post(f"{ROOT}jobs/batch/", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"]["jobs"]["1"]["data"]["a"]
    assert not FallbackJob.objects.exists()


# ---- lists ------------------------------------------------------------------------------------


def test_jobs_are_listed_by_the_page_and_by_queue_and_status(redis_server: RedisServer) -> None:
    for n in range(3):
        submit({**SUM, "options": {"job_id": f"j{n}", "delay": 60_000 if n == 2 else 0}})
    first = client().get(f"{ROOT}jobs/?limit=2").json()
    assert [line["id"] for line in first["results"]] == ["j2", "j1"]
    second = client().get(first["next"]).json()
    assert [line["id"] for line in second["results"]] == ["j0"]
    delayed = client().get(f"{ROOT}jobs/?status=delayed").json()["results"]
    assert [line["id"] for line in delayed] == ["j2"]
    assert client().get(f"{ROOT}jobs/?queue=low").json()["results"] == []
    assert client().get(f"{ROOT}jobs/?status=dead").status_code == 400


# ---- cancelling -------------------------------------------------------------------------------


def cancel(job_id: str, query: str = "") -> Any:
    return client().delete(f"{ROOT}jobs/{job_id}/{query}")


def test_a_job_that_waits_in_redis_is_cancelled(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed, 1)
    generation = FallbackJob.objects.get().generation
    assert cancel(job.id).json() == {"id": job.id, "status": "cancelled"}
    assert waiting(redis_server) == []
    with redis_server.client() as server:  # a push that is still on its way is refused
        assert server.zscore("drq:settled", f"{job.id}:{generation}")
    assert not FallbackJob.objects.exists()
    assert client().get(f"{ROOT}jobs/{job.id}/").json()["status"] == "cancelled"
    assert cancel(job.id).status_code == 409


def test_a_job_that_waits_in_the_database_is_cancelled(redis_server: RedisServer) -> None:
    redis_server.kill()
    job = queue().enqueue(succeed, 1)
    assert cancel(job.id).status_code == 200
    assert FallbackJob.objects.get().state == State.FINISHED
    assert client().get(f"{ROOT}jobs/{job.id}/").json()["status"] == "cancelled"


def test_a_job_that_redis_may_hold_is_not_cancelled_behind_its_back(
    redis_server: RedisServer,
) -> None:
    job = queue().enqueue(succeed, 1)
    redis_server.kill()
    answer = cancel(job.id)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert FallbackJob.objects.get().state == State.DISPATCHED


def test_a_job_that_runs_is_cancelled_only_on_demand(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed, 1)
    job.set_status(JobStatus.STARTED)
    assert cancel(job.id).json()["code"] == "active"
    assert cancel(job.id, "?running=true").status_code == 503  # nobody is there to be told


def test_a_job_that_nobody_knows_is_not_found(redis_server: RedisServer) -> None:
    assert cancel("nobody").status_code == 404
    assert client().get(f"{ROOT}jobs/nobody/").status_code == 404


def test_a_batch_with_an_id_that_is_taken_accepts_none(redis_server: RedisServer) -> None:
    def order(job_id: str) -> dict[str, Any]:
        return {"type": "sum:add", "data": {"a": 1}, "options": {"job_id": job_id}}

    path = f"{ROOT}jobs/batch/"
    twice = client().post(path, {"jobs": [order("new"), order("new")]}, format="json")
    assert (twice.status_code, "1" in twice.json()["errors"]["jobs"]) == (400, True)
    assert client().post(path, {"jobs": [order("old")]}, format="json").status_code == 201
    taken = client().post(path, {"jobs": [order("new"), order("old")]}, format="json")
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate")
    assert get_job("new") is None


def test_a_batch_with_ids_may_be_repeated_by_its_key(redis_server: RedisServer) -> None:
    body = {"jobs": [{"type": "sum:add", "data": {"a": 1}, "options": {"job_id": "mine"}}]}
    once = client().post(
        f"{ROOT}jobs/batch/", body, format="json", headers={"Idempotency-Key": "k"}
    )
    again = client().post(
        f"{ROOT}jobs/batch/", body, format="json", headers={"Idempotency-Key": "k"}
    )
    assert (once.status_code, again.status_code) == (201, 201)
    assert once.json() == again.json()


# ---- what a job returned -----------------------------------------------------------------------


def look_up(data: dict[str, Any]) -> None: ...


def test_what_a_handler_redacts_is_masked_in_what_its_job_returned(
    redis_server: RedisServer,
) -> None:
    """As it is in its letters; the name of that part of a result is none of the handler's."""
    job_handler("file:look", redact=("plot", "data"))(look_up)
    try:
        job_id = submit({"type": "file:look", "data": {}}).json()["id"]
        found = get_job(job_id)
        assert found is not None
        assert found.job is not None
        returned = {"success": True, "data": {"plot": "butler", "pages": 7, "api_key": "k"}}
        Result.create(found.job, Result.Type.SUCCESSFUL, ttl=60, return_value=returned)
        path = f"{ROOT}jobs/{job_id}/"
        assert client().get(path).json()["result"] == {
            "success": True,
            "data": {"plot": "********", "pages": 7, "api_key": "********"},
        }
    finally:
        registry.remove("file:look")
    assert client().get(path).json()["result"]["data"]["pages"] == "********"
