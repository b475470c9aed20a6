"""Who asked for a job: by the middleware, by the caller, by the job that enqueues another."""

from __future__ import annotations

import asyncio
from typing import Any

import django_rq
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.functional import SimpleLazyObject

from django_resilient_queue.context import current, known, origin
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.middleware import job_context
from django_resilient_queue.models import FallbackJob
from example_project.servers import RedisServer
from tests import jobs

pytestmark = pytest.mark.django_db

USER = User(pk=7)


def asked(request: HttpRequest) -> Any:
    """What code in a view finds; with the view's answer."""
    seen: dict[str, Any] = {}

    def view(request: HttpRequest) -> HttpResponse:
        seen.update(current())
        return HttpResponse()

    response = job_context(view)(request)
    return seen, response


def request_of(user: Any = None, **headers: str) -> HttpRequest:
    request = RequestFactory().get("/", headers=headers)
    if user is not None:
        request.user = user
    return request


def test_a_request_brings_its_id_and_its_user() -> None:
    seen, response = asked(request_of(USER, **{"X-Request-ID": "abc-1"}))
    assert seen == {"request_id": "abc-1", "user_id": 7}
    assert response.headers["X-Request-ID"] == "abc-1"
    assert current() == {}


@pytest.mark.parametrize("given", ["", "a b", "x" * 201, "a\x1b[31m", "é"])
def test_an_id_that_is_none_is_replaced(given: str) -> None:
    seen, response = asked(request_of(**{"X-Request-ID": given}))
    assert len(seen["request_id"]) == 36
    assert response.headers["X-Request-ID"] == seen["request_id"]


def test_a_user_whom_nobody_has_looked_at_is_not_asked_for() -> None:
    def load() -> User:
        raise AssertionError("the session's store may be away")

    seen, _ = asked(request_of(SimpleLazyObject(load)))
    assert "user_id" not in seen


def test_a_user_whom_the_view_has_looked_at_is_known() -> None:
    user = SimpleLazyObject(lambda: USER)
    assert user.pk == 7
    assert asked(request_of(user))[0]["user_id"] == 7


def test_nobody_is_no_user() -> None:
    assert "user_id" not in asked(request_of(AnonymousUser()))[0]


def test_an_async_view_has_the_same() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(current()["request_id"]))

    request = AsyncRequestFactory().get("/", headers={"X-Request-ID": "abc-1"})
    response = asyncio.run(job_context(view)(request))
    assert response.content == b"abc-1"
    assert current() == {}


@pytest.mark.parametrize("store", ["redis", "database"])
def test_a_job_carries_it_in_either_store(store: str, redis_server: RedisServer) -> None:
    if store == "database":
        redis_server.kill()
    with known({"request_id": "r", "user_id": 7, "job_id": "another"}):
        job = django_rq.enqueue(jobs.succeed, 1)
    assert job.meta == {"request_id": "r", "user_id": 7}
    snapshot = JobSnapshot.load(bytes(FallbackJob.objects.get().payload))
    about = snapshot.about(2)
    assert about == {
        "job_id": job.id,
        "job_type": "tests.jobs.succeed",
        "queue": "default",
        "attempts": 2,
        "user_id": 7,
        "request_id": "r",
    }


def test_what_the_caller_says_goes_first_and_its_dict_is_left_alone(
    redis_server: RedisServer,
) -> None:
    mine = {"request_id": "mine"}
    with known({"request_id": "r", "user_id": 7}):
        job = django_rq.enqueue(jobs.succeed, 1, meta=mine)
    assert job.meta == {"request_id": "mine", "user_id": 7}
    assert mine == {"request_id": "mine"}


def test_only_short_texts_and_numbers_are_taken_for_an_origin() -> None:
    assert origin({"request_id": "x" * 300, "user_id": None}) == {"request_id": "x" * 200}
    assert origin({"user_id": True, "other": 1}) == {"user_id": "True"}
