"""What is done to one letter: by whom, how it is asked for, and what is noted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_resilient_queue import discard
from django_resilient_queue.models import DeadLetter, FallbackJob
from django_resilient_queue.recovery.transcript import import_letters
from tests.integration.letters.desk import REVEAL, VIEW, address, client_of, letter_of
from tests.integration.letters.verbs import letter_for

pytestmark = pytest.mark.django_db(transaction=True)

PERMISSIONS = {
    "requeue": "requeue_deadletter",
    "correct": "correct_deadletter",
    "discard": "discard_deadletter",
    "restore": "discard_deadletter",
    "reveal": REVEAL,
    "export": REVEAL,
}
VERBS = sorted(PERMISSIONS)
FORMS = {
    "requeue": {"queue_name": "default", "reason": "mended"},
    "correct": {"argument-kwargs": '{"city": "Kiel"}', "confirm": "1"},
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_offered_and_done_with_its_own_permission(
    verb: str, acts: list[dict[str, Any]]
) -> None:
    letter = letter_for(verb)
    client = client_of(VIEW, PERMISSIONS[verb])
    offered = client.get(address("change", letter.pk)).text
    assert address(verb, letter.pk) in offered
    assert client.get(address(verb, letter.pk)).status_code == 200
    assert not LogEntry.objects.exists(), "to ask changes nothing"
    assert client.post(address(verb, letter.pk), FORMS.get(verb, {})).status_code in (200, 302)
    assert LogEntry.objects.get().object_id == str(letter.pk)
    assert [(told["operation"], told["row"]) for told in acts] == [(verb, letter)]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_neither_offered_nor_done_without_it(verb: str) -> None:
    letter = letter_for(verb)
    others = {*PERMISSIONS.values(), "change_deadletter", "add_recoveryrun"} - {PERMISSIONS[verb]}
    client = client_of(VIEW, *others)
    assert address(verb, letter.pk) not in client.get(address("change", letter.pk)).text
    answers = [
        client.get(address(verb, letter.pk)).status_code,
        client.post(address(verb, letter.pk), FORMS.get(verb, {})).status_code,
    ]
    assert answers == [403, 403]
    assert DeadLetter.objects.get().status == letter.status if verb != "restore" else "discarded"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_another_site_is_refused(verb: str) -> None:
    letter = letter_for(verb)
    client = client_of(VIEW, PERMISSIONS[verb], enforce_csrf_checks=True)
    assert client.post(address(verb, letter.pk), FORMS.get(verb, {})).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", ["requeue", "correct", "discard"])
def test_what_somebody_has_dealt_with_is_left_as_it_is(verb: str) -> None:
    letter = letter_of()
    discard(letter, by="ann")
    client = client_of()
    assert address(verb, letter.pk) not in client.get(address("change", letter.pk)).text
    answer = client.post(address(verb, letter.pk), FORMS.get(verb, {}), follow=True)
    assert "has changed meanwhile" in answer.text
    assert DeadLetter.objects.get().changed_by == "ann"


def test_a_job_is_requeued_to_another_queue_by_somebody_for_a_reason() -> None:
    letter, client = letter_of(), client_of()
    form = {"queue_name": "low", "reason": "the carrier is back"}
    said = client.post(address("requeue", letter.pk), form, follow=True).text
    assert "Requeued as job-r1." in said
    assert FallbackJob.objects.get(job_id="job-r1").queue_name == "low"
    letter.refresh_from_db()
    assert (letter.changed_by, letter.change_reason) == ("user-0", "the carrier is back")


def test_a_queue_that_there_is_not_is_refused() -> None:
    letter, client = letter_of(), client_of()
    answer = client.post(address("requeue", letter.pk), {"queue_name": "nowhere"})
    assert "Select a valid choice" in answer.text
    assert DeadLetter.objects.get().status == "dead"


@pytest.mark.parametrize("verb", ["requeue", "correct"])
def test_what_cannot_be_trusted_is_not_offered_to_be_run(verb: str) -> None:
    letter, client = letter_of(), client_of()
    assert address(verb, letter.pk) in client.get(address("change", letter.pk)).text
    DeadLetter.objects.update(payload=b"1" + b"x" * 60)
    assert address(verb, letter.pk) not in client.get(address("change", letter.pk)).text
    answer = client.get(address(verb, letter.pk), follow=True)
    assert "has changed meanwhile" in answer.text


def test_a_letter_is_discarded_and_restored() -> None:
    letter, client = letter_of(), client_of()
    client.post(address("discard", letter.pk), {"reason": "nobody wants it"})
    assert DeadLetter.objects.get().status == "discarded"
    client.post(address("restore", letter.pk))
    assert DeadLetter.objects.get().status == "dead"
    assert LogEntry.objects.count() == 2


def test_who_reveals_sees_it_once_and_is_noted() -> None:
    letter, client = letter_of(), client_of(VIEW, REVEAL)
    assert "k-123" not in client.get(address("change", letter.pk)).text
    assert "k-123" not in client.get(address("reveal", letter.pk)).text
    answer = client.post(address("reveal", letter.pk), {"reason": "ticket 7"})
    assert "k-123" in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert LogEntry.objects.get().change_message == "Looked at what is masked: ticket 7"
    assert "k-123" not in client.get(address("change", letter.pk)).text


def test_what_is_exported_can_be_imported() -> None:
    letter, client = letter_of(), client_of()
    answer = client.post(address("export", letter.pk))
    lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert "attachment" in answer["Content-Disposition"]
    assert json.loads(lines[0])["job_id"] == "job"
    letter.delete()
    assert import_letters(lines).stored == 1
    assert DeadLetter.objects.get().readable["kwargs"]["city"] == "Lübeck"


def test_a_page_of_a_letter_takes_few_queries() -> None:
    letter, client = letter_of(), client_of()
    client.get(address("change", letter.pk))
    with CaptureQueriesContext(connection) as asked:
        client.get(address("change", letter.pk))
    assert len(asked) <= 12
