"""Operations of the admin: confirmed, permitted, logged, and shown to nobody who can't do them."""

from __future__ import annotations

import pytest
from django import forms
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from django_resilient_queue import pause_all, pause_queue
from django_resilient_queue.admin.paused_queue import Resume
from django_resilient_queue.models import PausedQueue
from example_project.servers import RedisServer
from tests.clients import client_of

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = "admin:django_resilient_queue_pausedqueue"


@pytest.fixture
def row(redis_server: RedisServer) -> PausedQueue:
    pause_queue("default", reason="paper is out")
    return PausedQueue.objects.get()


def page_of(row: PausedQueue) -> str:
    return reverse(f"{ADMIN}_change", args=(row.pk,))


def operation_of(row: PausedQueue) -> str:
    return reverse(f"{ADMIN}_resume", args=(row.pk,))


def test_it_is_offered_confirmed_done_and_logged(row: PausedQueue) -> None:
    client = client_of("view_pausedqueue", "pause_queue")
    assert operation_of(row) in client.get(page_of(row)).text
    asked = client.get(operation_of(row))
    assert str(Resume.question) in asked.text
    assert PausedQueue.objects.exists()
    answer = client.post(operation_of(row))
    assert answer["Location"] == reverse(f"{ADMIN}_changelist")
    assert not PausedQueue.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(row.pk), "Resumed.")


def test_the_pause_of_all_queues_is_ended(redis_server: RedisServer) -> None:
    pause_all()
    client_of("view_pausedqueue", "pause_queue").post(operation_of(PausedQueue.objects.get()))
    assert not PausedQueue.objects.exists()


@pytest.mark.parametrize("permissions", [("view_pausedqueue",), ("pause_queue",), ()])
def test_without_both_permissions_it_is_neither_offered_nor_done(
    row: PausedQueue, permissions: tuple[str, ...]
) -> None:
    client = client_of(*permissions)
    assert operation_of(row) not in client.get(page_of(row)).text
    assert client.get(operation_of(row)).status_code == 403
    assert client.post(operation_of(row)).status_code == 403
    assert PausedQueue.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_request_from_another_site_is_refused(row: PausedQueue) -> None:
    client = client_of("view_pausedqueue", "pause_queue", enforce_csrf_checks=True)
    assert client.post(operation_of(row)).status_code == 403
    assert PausedQueue.objects.exists()


def test_a_row_that_is_gone_is_not_found(row: PausedQueue) -> None:
    client = client_of("view_pausedqueue", "pause_queue")
    PausedQueue.objects.all().delete()
    assert client.post(operation_of(row)).status_code == 404


def test_one_that_no_longer_makes_sense_is_not_done(
    row: PausedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resume, "is_offered", lambda self, row: False)
    client = client_of("view_pausedqueue", "pause_queue")
    assert operation_of(row) not in client.get(page_of(row)).text
    answer = client.post(operation_of(row), follow=True)
    assert "has changed meanwhile" in answer.text
    assert PausedQueue.objects.exists()


def test_what_can_not_be_done_is_said_and_not_logged(
    row: PausedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Resume, request: object, row: PausedQueue, form: object) -> str:
        row.delete()
        raise ValueError("The printer is on fire.")

    monkeypatch.setattr(Resume, "perform", refuse)
    client = client_of("view_pausedqueue", "pause_queue")
    answer = client.post(operation_of(row), follow=True)
    assert "The printer is on fire." in answer.text
    assert PausedQueue.objects.exists(), "what it did before that is undone"
    assert not LogEntry.objects.exists()


def test_a_form_that_is_not_valid_is_shown_again(
    row: PausedQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sure(forms.Form):
        name = forms.CharField(help_text="Type the name.")

    monkeypatch.setattr(Resume, "form_class", Sure)
    client = client_of("view_pausedqueue", "pause_queue")
    answer = client.post(operation_of(row))
    assert "This field is required." in answer.text
    assert "Type the name." in answer.text
    assert PausedQueue.objects.exists()
