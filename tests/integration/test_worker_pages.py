"""Stopping a worker from its page: the one that was seen, none that has taken its name since."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_resilient_queue.admin import worker_heartbeat
from django_resilient_queue.dismissal import stop_worker
from django_resilient_queue.models import WorkerHeartbeat
from example_project.servers import RedisServer
from tests import rows
from tests.enqueueing import queue
from tests.integration.letters.desk import client_of

pytestmark = pytest.mark.django_db(transaction=True)

LATER = rows.NOON + timedelta(microseconds=1)


def start_anew() -> None:
    WorkerHeartbeat.objects.update(started_at=LATER, pid=2)


def is_to_stop() -> bool:
    return WorkerHeartbeat.objects.get().is_to_stop


def page_of(worker: WorkerHeartbeat) -> str:
    return f"/admin/django_resilient_queue/workerheartbeat/{worker.pk}/stop/"


def confirm(client: Client, page: str) -> str:
    """Send the form of the page that was shown."""
    shown = client.get(page).context["form"]
    return client.post(page, dict(shown.initial), follow=True).text


def test_the_worker_that_was_shown_is_stopped(redis_server: RedisServer) -> None:
    assert "The worker ends after" in confirm(client_of(), page_of(rows.make_worker("w")))
    assert is_to_stop()


def test_one_that_was_started_between_page_and_confirmation_is_not(
    redis_server: RedisServer,
) -> None:
    worker, client = rows.make_worker("w"), client_of()
    shown = client.get(page_of(worker)).context["form"].initial
    start_anew()
    text = client.post(page_of(worker), shown, follow=True).text
    assert "Another worker was started under this name: look at it first." in text
    assert not is_to_stop()
    assert not LogEntry.objects.exists()
    assert "The worker ends after" in confirm(client, page_of(worker))


@pytest.mark.parametrize("sent", [{}, {"started_at": "yesterday"}])
def test_a_confirmation_that_names_none_stops_none(
    redis_server: RedisServer, sent: dict[str, str]
) -> None:
    page = page_of(rows.make_worker("w"))
    assert "look at it first" in client_of().post(page, sent, follow=True).text
    assert not is_to_stop()


def test_one_that_is_started_over_the_confirmation_is_not_either(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its row and the change of it."""

    def late(name: str, **words: Any) -> bool:
        start_anew()
        return stop_worker(name, **words)

    monkeypatch.setattr(worker_heartbeat, "stop_worker", late)
    text = confirm(client_of(), page_of(rows.make_worker("w")))
    assert "The worker is gone, or was asked already." in text
    assert not is_to_stop()


@pytest.mark.parametrize("started_at", [None, rows.NOON])
def test_a_worker_of_rq_has_no_row_to_be_known_by(
    redis_server: RedisServer, started_at: datetime | None
) -> None:
    with queue().connection.pubsub() as ears:
        ears.subscribe("rq:pubsub:plain")
        assert ears.get_message(timeout=5)
        assert stop_worker("plain", started_at=started_at) is (started_at is None)
