"""What a client sends by mistake is refused, and not taken for something else."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from django_resilient_queue.models import FallbackJob, RecoveryRun
from example_project.servers import RedisServer
from tests.integration.api.test_letters import dead, post
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
SUM = {"type": "sum:add", "data": {"a": 1}}


def get(path: str) -> Any:
    return client().get(f"{ROOT}{path}")


def test_a_run_of_no_letters_is_not_one_of_all(redis_server: RedisServer) -> None:
    dead()
    answer = post("recovery-runs/", {"selection": {"ids": []}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert not RecoveryRun.objects.exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("jobs/", {**SUM, "options": {"priority": "7"}}),
        ("jobs/", {**SUM, "options": {"job_id": "ends in a line\n"}}),
        ("jobs/", {**SUM, "options": {"job_id": "batch"}}),  # jobs/batch/ is another address
        ("jobs/", {"type": 1}),
        ("pause/", {"queue": 1}),
        ("pause/", {"queue": "no such"}),
        ("pause/", {"reason": "with a \0"}),
        ("clean/completed/", {"older_than": "1"}),
        ("dlq/1/requeue/", {"keep_attempts": "yes"}),
        ("recovery-runs/", {"all": 1}),
        ("recovery-runs/", {"all": True, "rate": "5"}),
        ("recovery-runs/", {"selection": {"queue": " \n"}}),
    ],
)
def test_what_only_looks_right_is_refused(redis_server: RedisServer, path: str, body: Any) -> None:
    answer = post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert not FallbackJob.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "dlq/?until=",
        "dlq/?status=",
        "dlq/?limit=many",
        "dlq/?limit=201",
        "dlq/stats/?priority=",
        "jobs/?cursor=",
        "recovery-runs/?limit=0",
    ],
)
def test_a_filter_without_a_value_is_not_one_that_was_not_given(
    redis_server: RedisServer, path: str
) -> None:
    answer = get(path)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("place", ["p=abc", "p=%00", "p=-1", f"p={10**30}", "o=x", "r=x"])
def test_a_cursor_that_nobody_was_given_leads_nowhere(
    redis_server: RedisServer, place: str
) -> None:
    cursor = b64encode(place.encode()).decode()
    for path in ("jobs/", "dlq/", "recovery-runs/"):
        assert get(f"{path}?cursor={cursor}").status_code == 404


@pytest.mark.parametrize("key", ["", " ", "with space", "k" * 256, "ключ"])
def test_a_key_that_is_none_is_not_taken_for_no_key(redis_server: RedisServer, key: str) -> None:
    answer = client().post(f"{ROOT}jobs/", SUM, format="json", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_key")
    assert not FallbackJob.objects.exists()


@pytest.mark.parametrize("key", ["abc", "-1", "0", "9" * 18, "9" * 19, "1" * 5000, "\u0661"])
def test_an_address_of_no_row_is_answered_by_a_problem(redis_server: RedisServer, key: str) -> None:
    for path in (f"dlq/{key}/", f"recovery-runs/{key}/"):
        answer = get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("job_id", ["%00", "a%0Ab", "%FF", "x" * 3000, "%F0%9F%98%80", "%20", ".."])
def test_an_address_of_no_job_is_answered_by_a_problem(
    redis_server: RedisServer, job_id: str
) -> None:
    path = f"{ROOT}jobs/{job_id}/"
    for answer in (client().get(path), client().delete(path)):
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
