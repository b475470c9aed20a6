"""Limits by user and by what is asked for, which hold while Redis, and a cache in it, are away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from django_resilient_queue.api.throttles import LocalThrottle
from example_project.servers import RedisServer
from tests.enqueueing import AWAY, take_away
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
SUM = {"type": "sum:add", "data": {"a": 1}}


@pytest.fixture(autouse=True)
def _limits(settings: Settings, redis_server: RedisServer) -> Iterator[None]:
    rates = {"submit": "2/hour", "recover": "1/hour"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    LocalThrottle.cache.clear()
    yield
    LocalThrottle.cache.clear()


def post(path: str, body: Any = None, **options: Any) -> Any:
    return client(**options).post(f"{ROOT}{path}", body or {}, format="json")


def test_who_submits_too_much_is_told_when_to_come_again() -> None:
    batch = {"jobs": [SUM]}
    assert [post("jobs/", SUM).status_code, post("jobs/batch/", batch).status_code] == [201, 201]
    answer = post("jobs/", SUM)
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
    assert answer.json()["code"] == "throttled"
    assert 3500 < int(answer["Retry-After"]) <= 3601
    assert post("jobs/batch/", batch).status_code == 429


def test_another_user_has_a_limit_of_their_own() -> None:
    assert [post("jobs/", SUM).status_code for _ in range(3)] == [201, 201, 429]
    assert post("jobs/", SUM, name="bob").status_code == 201


def test_what_operators_do_is_counted_apart_and_reading_is_free() -> None:
    assert [post("pause/").status_code, post("resume/").status_code] == [200, 429]
    assert post("jobs/", SUM).status_code == 201
    assert {client().get(f"{ROOT}jobs/").status_code for _ in range(5)} == {200}


def test_a_refused_user_uses_nothing_up() -> None:
    nobody = client("view_job", name="mal")
    assert {nobody.post(f"{ROOT}pause/", {}, format="json").status_code for _ in range(3)} == {403}
    assert post("pause/", name="mal").status_code == 200


@pytest.mark.parametrize("how", AWAY)
def test_the_limit_holds_with_a_cache_in_the_redis_that_is_away(
    settings: Settings, redis_server: RedisServer, how: str
) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://{redis_server.host}:{redis_server.port}/0",
        },
    }
    take_away(redis_server, how)
    assert [post("jobs/", SUM).status_code for _ in range(3)] == [201, 201, 429]


def test_without_a_rate_there_is_no_limit(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {}}
    assert {post("jobs/", SUM).status_code for _ in range(5)} == {201}
