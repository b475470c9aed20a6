"""Dead letters and recovery runs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter, FallbackJob, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.queues import get_queue
from example_project.servers import RedisServer
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
FAILURE = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\nValueError: no")


def dead(job_id: str = "job", name: str = "sum:add", **payload: Any) -> DeadLetter:
    """The letter of a job of a type."""
    job = get_queue("default").create_job(
        PERFORM,
        args=(name,),
        kwargs=payload or {"a": 1, "b": 1},
        job_id=job_id,
        description=name,
    )
    snapshot = JobSnapshot.of(job, queue_name="default")
    DeadLetter.objects.record([DeadLetter.of(snapshot, FAILURE, attempts=1)])
    return DeadLetter.objects.get(job_id=job_id)


def post(path: str, body: Any = None, key: str = "", **options: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client(**options).post(f"{ROOT}{path}", body or {}, format="json", headers=headers)


def test_letters_are_listed_counted_and_grouped(redis_server: RedisServer) -> None:
    letter = dead()
    [line] = client().get(f"{ROOT}dlq/?handler=sum:add").json()["results"]
    assert (line["id"], line["job_id"], line["status"]) == (letter.pk, "job", "dead")
    assert client().get(f"{ROOT}dlq/?status=discarded").json()["results"] == []
    assert client().get(f"{ROOT}dlq/stats/").json()["total"] == 1
    [group] = client().get(f"{ROOT}dlq/groups/").json()["groups"]
    assert (group["error_class"], group["count"]) == ("builtins.ValueError", 1)


def test_secrets_of_a_payload_are_for_those_who_may_see_them(redis_server: RedisServer) -> None:
    letter = dead(a=1, password="hunter2")
    path = f"{ROOT}dlq/{letter.pk}/"
    masked = client("view_deadletter").get(path)
    assert masked.json()["payload"]["kwargs"]["a"] == 1
    assert b"hunter2" not in masked.content
    assert b"hunter2" in client().get(path).content


def test_a_letter_is_requeued_once_and_a_repeat_with_the_key_hears_the_same(
    redis_server: RedisServer,
) -> None:
    path = f"dlq/{dead().pk}/requeue/"
    answer = post(path, {"reason": "mended"}, key="k")
    assert (answer.status_code, answer.json()) == (201, {"job_id": "job-r1"})
    assert post(path, {"reason": "mended"}, key="k").json() == answer.json()
    again = post(path)
    assert (again.status_code, again.json()["code"]) == (409, "not_dead")
    assert DeadLetter.objects.get().changed_by == "ann"
    assert FallbackJob.objects.count() == 1


def test_a_payload_is_corrected_by_its_schema(redis_server: RedisServer) -> None:
    path = f"dlq/{dead().pk}/payload/"
    refused = post(path, {"kwargs": {"a": -1}})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["data"])
    answer = post(path, {"kwargs": {"a": 2, "b": 1}})
    assert answer.json() == {
        "job_id": "job-r1",
        "diff": [{"op": "replace", "path": "/kwargs/a", "value": 2}],
    }


def test_a_payload_that_is_nested_too_deeply_is_refused(redis_server: RedisServer) -> None:
    """A parser reads it, and masks can't follow it."""
    deep: Any = 1
    for _ in range(400):
        deep = {"a": deep}
    refused = post(f"dlq/{dead().pk}/payload/", {"kwargs": deep})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


def test_a_letter_is_discarded(redis_server: RedisServer) -> None:
    letter = dead()
    assert post(f"dlq/{letter.pk}/discard/").json() == {"status": "discarded"}
    assert post(f"dlq/{letter.pk}/discard/").status_code == 409
    assert client().get(f"{ROOT}dlq/0/").status_code == 404


def test_a_run_is_started_looked_at_paused_resumed_and_cancelled(
    redis_server: RedisServer,
) -> None:
    dead()
    answer = post("recovery-runs/", {"all": True, "reason": "mended"}, key="k")
    assert (answer.status_code, answer.json()["total"]) == (202, 1)
    assert (
        post("recovery-runs/", {"all": True, "reason": "mended"}, key="k")["Location"]
        == (answer["Location"])
    )
    assert RecoveryRun.objects.count() == 1
    path = answer["Location"].removeprefix(ROOT)
    for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert post(f"{path}{verb}/").json()["status"] == status
        assert client().get(f"{ROOT}{path}").json()["status"] == status
    assert post(f"{path}cancel/").status_code == 409


def test_a_run_of_everything_has_to_be_meant(redis_server: RedisServer) -> None:
    assert post("recovery-runs/").status_code == 400
    dry = post("recovery-runs/", {"selection": {"handler": "sum:add"}, "dry_run": True})
    assert (dry.status_code, dry.json()["total"], dry.json()["id"]) == (200, 0, None)
    assert not RecoveryRun.objects.exists()
