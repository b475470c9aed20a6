"""Queues that are paused and resumed on the overview."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from django_resilient_queue import pause_all, pause_queue, resume_queue, signals
from django_resilient_queue.models import PausedQueue
from tests.clients import client_of
from tests.integration.overview.screen import NAME, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def test_a_queue_is_paused_and_resumed() -> None:
    client = client_of("view_overview", "pause_queue")
    pause, resume = (reverse(f"{NAME}_{verb}", args=("low",)) for verb in ("pause", "resume"))
    html = page(client)
    assert pause in html
    assert resume not in html
    assert "Pause low" in client.get(pause).text
    assert not PausedQueue.objects.exists()
    answer = client.post(pause, {"reason": "paper"}, follow=True)
    assert "Paused: low." in answer.text
    assert resume in answer.text, "the page shows it at once"
    row = PausedQueue.objects.get()
    assert (row.queue_name, row.reason) == ("low", "paper")
    assert pause not in client.get(reverse(f"{NAME}_changelist")).text
    client.post(resume)
    assert not PausedQueue.objects.exists()
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message")
    assert list(entries) == [("low", "Paused: low."), ("low", "Resumed: low.")]


def test_all_queues_are_paused_and_resumed_at_once() -> None:
    client = client_of("view_overview", "pause_queue")
    pause_queue("low")
    client.post(reverse(f"{NAME}_pause", args=("*",)))
    assert PausedQueue.objects.filter(queue_name="").exists()
    html = page(client)
    assert html.count("all are paused") == 4
    assert reverse(f"{NAME}_pause", args=("high",)) not in html
    client.post(reverse(f"{NAME}_resume", args=("*",)))
    assert not PausedQueue.objects.exists()


@pytest.mark.parametrize("permissions", [("view_overview",), ("pause_queue",), ()])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_without_the_permissions_nothing_is_offered_or_done(
    permissions: tuple[str, ...], verb: str
) -> None:
    if verb == "resume":
        pause_all()
        pause_queue("low")
    before = PausedQueue.objects.count()
    client = client_of(*permissions)
    where = reverse(f"{NAME}_{verb}", args=("low",))
    if "view_overview" in permissions:
        assert where not in page(client)
    assert client.post(where).status_code == 403
    assert PausedQueue.objects.count() == before
    assert not LogEntry.objects.exists()


def test_a_pause_and_its_end_are_told_to_who_listens() -> None:
    """With the commit, and once: what changed nothing is no news."""
    heard: list[tuple[str, str]] = []

    def note_pause(sender: object, queue_name: str, by: str, **kwargs: Any) -> None:
        heard.append((queue_name, by))

    def note_end(sender: object, queue_name: str, **kwargs: Any) -> None:
        heard.append((queue_name, "resumed"))

    signals.queue_paused.connect(note_pause)
    signals.queue_resumed.connect(note_end)
    client = client_of("view_overview", "pause_queue")
    name = User.objects.get().get_username()
    client.post(reverse(f"{NAME}_pause", args=("low",)))
    assert not pause_queue("low")
    client.post(reverse(f"{NAME}_resume", args=("low",)))
    assert not resume_queue("low")
    client.post(reverse(f"{NAME}_pause", args=("*",)))
    client.post(reverse(f"{NAME}_resume", args=("*",)))
    assert heard == [("low", name), ("low", "resumed"), ("", name), ("", "resumed")]


def test_a_request_from_another_site_is_refused() -> None:
    client = client_of("view_overview", "pause_queue", enforce_csrf_checks=True)
    assert client.post(reverse(f"{NAME}_pause", args=("low",))).status_code == 403
    assert not PausedQueue.objects.exists()


def test_a_queue_that_there_is_not_is_not_found() -> None:
    client = client_of("view_overview", "pause_queue")
    assert client.post(reverse(f"{NAME}_pause", args=("nowhere",))).status_code == 404
