"""The page of metrics: who is shown it, in which form, and what that waits for."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_resilient_queue import metrics
from django_resilient_queue.contrib import prometheus
from django_resilient_queue.exceptions import MissingExtra
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import WaitUntil
from tests.enqueueing import least_seconds
from tests.integration.metrics.scrape import Scrape

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
PAGE = "/queue/metrics/"


def bearer(client: Client, token: str, scheme: str = "Bearer") -> int:
    return client.get(PAGE, headers={"Authorization": f"{scheme} {token}"}).status_code


def test_a_token_or_the_permission_is_wanted(client: Client, settings: Settings) -> None:
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "") == 403  # no token is no password
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim-ß"}
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "wrong") == 403
    assert bearer(client, "") == 403
    assert bearer(client, "geheim-ß", "Basic") == 403
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    assert bearer(client, "geheim") == 200
    assert bearer(client, "geheim", "bearer") == 200


def test_of_who_may_not_see_it_no_store_is_asked(client: Client, redis_server: RedisServer) -> None:
    with redis_server.client() as redis, CaptureQueriesContext(connection) as queries:
        before = redis.info("stats")["total_commands_processed"]
        assert client.get(PAGE).status_code == 403
        assert redis.info("stats")["total_commands_processed"] - before == 1  # this question
    assert not queries.captured_queries


def test_a_user_with_the_permission_sees_it(client: Client, wait_until: WaitUntil) -> None:
    user = User.objects.create_user("ann")
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_metrics"))

    def shown() -> Any:
        answer = client.get(PAGE)
        return answer if answer.status_code == 200 else None

    # On a busy machine the database may answer too late to say who asks.
    answer = wait_until(shown)
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert answer["Cache-Control"] == "no-store"
    assert Scrape(answer.content.decode())("drq_up", store="database", server="") == 1
    assert client.post(PAGE).status_code == 405


@pytest.mark.alone
def test_with_the_database_frozen_the_token_still_opens_and_nobody_waits(
    client: Client, settings: Settings, database_server: ServerProcess
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    client.force_login(User.objects.create_superuser("root"))
    database_server.freeze()
    assert least_seconds(lambda: client.get(PAGE)) < 1
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "geheim") == 200


def test_who_asks_for_openmetrics_gets_it(client: Client, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    headers = {"Authorization": "Bearer geheim", "Accept": "application/openmetrics-text"}
    answer = client.get(PAGE, headers=headers)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_without_the_extra_the_line_that_installs_it_is_named(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    metrics.page_collector.cache_clear()
    monkeypatch.setattr("django_resilient_queue.metrics.page.find_spec", lambda name: None)
    answer = client.get(PAGE, headers={"Authorization": "Bearer geheim"})
    assert answer.status_code == 501
    assert b'pip install "django-resilient-queue[metrics]"' in answer.content
    with pytest.raises(MissingExtra):
        prometheus.register()
