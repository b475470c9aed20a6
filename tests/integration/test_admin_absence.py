"""What the pages say while the database of the queue is away and that of the admin is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connections
from django.db.models import Model
from django.test import Client
from pytest_django import Settings

from django_resilient_queue.admin.letters.bulk_operations import BulkOperation
from django_resilient_queue.exceptions import StoreRefused
from django_resilient_queue.models import DeadLetter, Overview
from example_project.servers import ServerProcess
from tests.enqueueing import another_database, database_away
from tests.integration.letters.desk import address, client_of, letter_of
from tests.integration.test_admin_requests import each_list, list_of
from tests.rows import MAKERS

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {"reason": "x", "queue_name": "default", "hours": "1", "rate": "1", "canary": "0"}
NOT_KNOWN = "Whether your change was made is not known"


def pages_of(model: type[Model]) -> Iterator[str]:
    MAKERS[model]("row-one")
    base, pk = list_of(model), model._default_manager.values_list("pk", flat=True)[0]
    yield from (base, f"{base}{pk}/change/")
    pages: Any = admin.site.get_model_admin(model)
    for each in getattr(pages, "operations", ()):
        yield f"{base}{pk}/{each.name}/"


def assert_absence(client: Client, page: str) -> None:
    answers = (client.get(page), client.post(page, FORM))
    assert [answer.status_code for answer in answers] in ([503, 503], [503, 403]), page
    assert "The database of the queue has failed" in answers[0].text
    assert NOT_KNOWN not in answers[0].text
    assert answers[1].status_code == 403 or NOT_KNOWN in answers[1].text


@each_list
def test_a_page_says_that_the_database_is_away(settings: Settings, model: type[Model]) -> None:
    client, pages = client_of(), list(pages_of(model))
    with database_away(settings):
        for page in pages:
            assert_absence(client, page)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", ["requeue", "discard", "restore", "export"])
def test_so_do_those_of_many_letters(settings: Settings, verb: str) -> None:
    client, letter = client_of(), letter_of()
    with database_away(settings):
        assert_absence(client, f"{address(f'{verb}_all')}?ids={letter.pk}")
        assert client.get(address("groups")).status_code == 503
    assert not LogEntry.objects.exists()


def test_so_do_those_that_pause_a_queue_and_the_overview_is_shown(settings: Settings) -> None:
    client, page = client_of(), list_of(Overview)
    with database_away(settings):
        assert_absence(client, f"{page}default/pause/")
        assert client.get(page).status_code == 200


def test_who_may_see_nothing_is_told_nothing(settings: Settings) -> None:
    client = client_of("view_outage")
    with database_away(settings):
        for page in (list_of(DeadLetter), address("groups"), address("discard_all")):
            assert client.get(page).status_code == 403


def test_what_fails_while_a_page_is_written_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_number: int) -> DeadLetter:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(BulkOperation, "sample", lambda *args: map(fail, [1]))
    page = f"{address('requeue_all')}?ids={letter_of().pk}"
    assert client_of().get(page).status_code == 503


def test_redis_is_not_taken_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Any]:
        raise StoreRefused(ConnectionError("refused"), "redis")

    monkeypatch.setattr("django_resilient_queue.admin.letters.groups.groups", refuse)
    with pytest.raises(StoreRefused):
        client_of().get(address("groups"))


def test_the_admin_s_own_database_is_the_project_s_business(database_server: ServerProcess) -> None:
    client = client_of()
    database_server.stop()
    connections.close_all()
    with pytest.raises(OperationalError):
        client.get(address("changelist"))


def test_what_is_not_done_is_not_logged_in_another_database_either(
    database_server: ServerProcess, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, letter = client_of(), letter_of()

    def fail() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    with another_database(settings) as own:
        monkeypatch.setattr(own, "_commit", fail)
        for page in (
            address("discard", letter.pk),
            f"{address('discard_all')}?ids={letter.pk}",
        ):
            assert NOT_KNOWN in client.post(page, FORM).text
    assert DeadLetter.objects.get().status == "dead"
    assert [each.change_message for each in LogEntry.objects.all()] == ["Discard: ordered."]
