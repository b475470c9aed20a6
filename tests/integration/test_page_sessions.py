"""`health/` and `metrics/` while the store of the sessions, another one, answers nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from django_resilient_queue import crew
from example_project.servers import RedisServer
from tests.conftest import WaitUntil
from tests.enqueueing import least_seconds
from tests.health import live_worker
from tests.rest import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
HEALTH, METRICS = "/queue/health/", "/queue/metrics/"


@pytest.fixture
def session_server(settings: Settings) -> Iterator[RedisServer]:
    """Has the sessions, and nothing else."""
    server = RedisServer()
    server.start()
    address = f"redis://{server.host}:{server.port}"
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {**settings.CACHES, "sessions": {"BACKEND": backend, "LOCATION": address}}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "sessions"
    yield server
    server.close()


@pytest.fixture
def operator(session_server: RedisServer, wait_until: WaitUntil) -> Iterator[Client]:
    """Somebody who may see everything, and whose session nobody can read any more."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    client.get("/live/")  # a process's first request imports all pages
    session_server.freeze()
    yield client
    session_server.thaw()
    used = [crew.crew, crew.page_crew]
    wait_until(lambda: all(each.is_idle for each in used))


@pytest.fixture(params=[False, True], ids=["", "saved-at-every-request"])
def _saving(settings: Settings, request: pytest.FixtureRequest) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = request.param


@pytest.mark.alone
@pytest.mark.usefixtures("_saving")
def test_health_is_told_in_time_as_to_anybody(operator: Client) -> None:
    live_worker()
    found: list[Any] = []
    assert least_seconds(lambda: found.append(operator.get(HEALTH))) < 1
    assert all(set(answer.json()) == {"status", "reasons"} for answer in found)
    assert not any(answer.cookies for answer in found), "the session is as it was"


@pytest.mark.alone
@pytest.mark.usefixtures("_saving")
def test_metrics_are_for_the_token_alone(operator: Client, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "METRICS_TOKEN": "geheim"}
    found: list[Any] = []
    assert least_seconds(lambda: found.append(operator.get(METRICS))) < 1
    assert {answer.status_code for answer in found} == {403}
    headers = {"Authorization": "Bearer geheim"}
    told: list[Any] = []
    assert least_seconds(lambda: told.append(operator.get(METRICS, headers=headers))) < 1
    assert {answer.status_code for answer in told} == {200}
    assert not any(answer.cookies for answer in (*found, *told))


@pytest.mark.alone
@pytest.mark.usefixtures("_saving")
def test_a_call_of_the_api_is_answered_in_time(operator: Client) -> None:
    found: list[Any] = []
    assert least_seconds(lambda: found.append(operator.get(f"{ROOT}jobs/"))) < 1
    assert {answer.status_code for answer in found} == {503}
    assert not any(answer.cookies for answer in found)


def test_however_many_ask_few_wait(operator: Client) -> None:
    for _ in range(crew.PAGE_THREADS + 2):
        operator.get(METRICS)
    assert crew.page_crew.threads <= crew.PAGE_THREADS


def test_whose_session_can_be_read_sees_all_of_it(
    session_server: RedisServer, settings: Settings
) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    key = client.cookies["sessionid"].value
    assert "queues" in client.get(HEALTH).json()
    assert client.get(METRICS).status_code == 200
    assert client.cookies["sessionid"].value == key
    assert client.get("/admin/").status_code == 200


def test_a_session_that_this_request_has_changed_is_saved(
    session_server: RedisServer, settings: Settings
) -> None:
    """A login that is signed with a key of before gets another, and so another cookie."""
    live_worker()  # of what is no success Django saves no session
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    key = client.cookies["sessionid"].value
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert "queues" in client.get(HEALTH).json()
    assert client.cookies["sessionid"].value != key
    assert "queues" in client.get(HEALTH).json()
