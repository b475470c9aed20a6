"""Who gets in, by session or token, with Django's own permissions; and what each of them sees."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.test import APIClient

from django_resilient_queue.api.permissions import APP
from django_resilient_queue.api.scoping import Rows, Scope
from django_resilient_queue.job_info import JobInfo
from django_resilient_queue.models import DeadLetter, FallbackJob
from example_project.servers import RedisServer
from tests import rows
from tests.enqueueing import queue
from tests.integration.api.routes import ROUTES, Route
from tests.integration.api.test_letters import dead
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
SUM = {"type": "sum:add", "data": {"a": 1}}
CHANGES = [route for route in ROUTES if route.method != "GET"]
CLOSED = [route for route in ROUTES if route.pattern != "health/"]


def somebody(*permissions: str) -> User:
    """A user who is no superuser, with permissions out of Django's table."""
    user = User.objects.create_user("ann", password="secret")
    found = Permission.objects.filter(content_type__app_label=APP, codename__in=permissions)
    assert found.count() == len(set(permissions))
    user.user_permissions.set(found)
    return user


def call(who: APIClient, route: Route, **headers: str) -> Any:
    path = ROOT + re.sub(r"<[^>]+>", "1", route.pattern)
    return who.generic(route.method, path, "{}", content_type="application/json", headers=headers)


# ---- permissions of Django's ------------------------------------------------------------------


def test_every_method_asks_djangos_permissions(redis_server: RedisServer) -> None:
    names = {route.permission for route in CLOSED}
    user = somebody(*names)
    who = APIClient()
    who.force_login(user)
    for route in CLOSED:
        permission = Permission.objects.get(content_type__app_label=APP, codename=route.permission)
        user.user_permissions.remove(permission)
        assert call(who, route).status_code == 403, route
        user.user_permissions.set([permission])
        assert call(who, route).status_code not in (401, 403), route
        user.user_permissions.set(Permission.objects.filter(codename__in=names))


# ---- sessions and tokens ----------------------------------------------------------------------


@pytest.fixture
def session() -> APIClient:
    """A browser of somebody who has logged in and may do everything."""
    found = APIClient(enforce_csrf_checks=True)
    found.force_login(User.objects.create_superuser("root"))
    return found


@pytest.mark.parametrize("route", CHANGES, ids=str)
def test_no_change_is_made_for_a_session_without_the_csrf_token(
    redis_server: RedisServer, session: APIClient, route: Route
) -> None:
    answer = call(session, route)
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert "CSRF" in answer.json()["detail"]


def test_with_the_csrf_token_a_session_submits(
    redis_server: RedisServer, session: APIClient
) -> None:
    token = "a" * 32
    session.cookies["csrftoken"] = token
    answer = session.post(f"{ROOT}jobs/", SUM, format="json", headers={"X-CSRFToken": token})
    assert answer.status_code == 201
    forged = session.post(f"{ROOT}jobs/", SUM, format="json", headers={"X-CSRFToken": "b" * 32})
    assert forged.status_code == 403
    assert session.get(f"{ROOT}jobs/").status_code == 200
    assert FallbackJob.objects.count() == 1


def test_a_token_stands_for_its_user_and_needs_no_csrf_token(redis_server: RedisServer) -> None:
    token = Token.objects.create(user=somebody("submit_job"))
    who = APIClient(enforce_csrf_checks=True, headers={"Authorization": f"Token {token.key}"})
    assert who.post(f"{ROOT}jobs/", SUM, format="json").status_code == 201
    assert who.get(f"{ROOT}jobs/").status_code == 403


@pytest.mark.parametrize("header", ["Token 0123", "Token", ""])
def test_nobody_gets_in_unknown(redis_server: RedisServer, header: str) -> None:
    who = APIClient(headers={"Authorization": header} if header else None)
    answer = who.post(f"{ROOT}jobs/", SUM, format="json")
    # 403 and not 401: sessions, for which there is no WWW-Authenticate, come first.
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["code"] in ("authentication_failed", "not_authenticated")
    assert not FallbackJob.objects.exists()


# ---- scopes -----------------------------------------------------------------------------------


class OfHigh(Scope):
    """The urgent queue's team."""

    def rows(self, request: Request, rows: Rows) -> Rows:
        names = {field.name for field in rows.model._meta.get_fields()}
        return rows.filter(queue_name="high") if "queue_name" in names else rows.none()

    def sees(self, request: Request, job: JobInfo) -> bool:
        return job.queue_name == "high"


@pytest.fixture
def _of_high(settings: Settings, redis_server: RedisServer) -> None:
    for name in ("high", "low"):
        queue(name).enqueue(succeed, 1, job_id=f"job-{name}")
        letter = dead(f"dead-{name}")
        DeadLetter.objects.filter(pk=letter.pk).update(queue_name=name)
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_SCOPE": f"{__name__}.OfHigh"}


def ids(path: str) -> list[str]:
    results = client().get(f"{ROOT}{path}").json()["results"]
    return [line.get("job_id") or line["id"] for line in results]


@pytest.mark.usefixtures("_of_high")
def test_lists_are_of_what_a_user_may_see() -> None:
    rows.make_outage("redis")
    rows.make_worker("w-1")
    assert (ids("jobs/"), ids("fallback/"), ids("dlq/")) == (
        ["job-high"],
        ["job-high"],
        ["dead-high"],
    )
    assert (ids("outages/"), client().get(f"{ROOT}workers/").json()["results"]) == ([], [])


@pytest.mark.usefixtures("_of_high")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs/job-{}/"),
        ("DELETE", "jobs/job-{}/"),
        ("GET", "fallback/job-{}/"),
        ("GET", "dlq/{letter}/"),
        ("POST", "dlq/{letter}/requeue/"),
        ("POST", "dlq/{letter}/discard/"),
    ],
)
def test_what_is_of_others_is_not_there(method: str, path: str) -> None:
    for name, expected in (("low", {404}), ("high", {200, 201})):
        letter = DeadLetter.objects.get(job_id=f"dead-{name}").pk
        answer = client().generic(
            method,
            ROOT + path.format(name, letter=letter),
            json.dumps({}),
            content_type="application/json",
        )
        assert answer.status_code in expected, name
    assert FallbackJob.objects.filter(job_id="job-low").exists()
    assert DeadLetter.objects.get(job_id="dead-low").status == "dead"


@pytest.mark.parametrize("path", ["no.such.Scope", "django_resilient_queue.job_info.JobInfo"])
def test_a_scope_that_is_none_lets_nobody_in(
    settings: Settings, redis_server: RedisServer, path: str
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_SCOPE": path}
    with pytest.raises(ImproperlyConfigured, match="API_SCOPE"):
        client().get(f"{ROOT}jobs/")
