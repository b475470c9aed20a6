"""A page that asks is confirmed: late, twice, or after others have changed what it shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections

from django_resilient_queue import discard, restore
from django_resilient_queue.admin.letters.bulk_operations import BULK_OPERATIONS, Chosen
from django_resilient_queue.exceptions import RunAlreadyStarted
from django_resilient_queue.models import DeadLetter, RecoveryRun
from django_resilient_queue.recovery import discarding
from django_resilient_queue.recovery.counting import Count
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import Selection
from tests.integration.letters.desk import address, client_of, letter_of
from tests.integration.letters.verbs import FORM, VERBS, letter_for, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("verb", VERBS)
def test_more_letters_than_were_shown_are_asked_about_again(verb: str) -> None:
    """As others of the same kind are restored, or what died in an outage is stored after it."""
    others = [letter_of(f"job-{number}") for number in range(2)]
    if verb != "restore":
        for letter in others:
            discard(letter)
    letter_for(verb)
    client, page = client_of(), page_of(verb, Selection(queue_name="default"))
    seen = client.get(page).context["count"]
    for letter in others:
        (discard if verb == "restore" else restore)(letter)
    if verb == "export":
        letter_of("later")
    answer = client.post(page, FORM | {"count": seen})
    assert "There are more letters by now" in answer.text
    assert not LogEntry.objects.exists()
    assert client.post(page, FORM | {"count": answer.context["count"]}).status_code in (200, 302)
    assert LogEntry.objects.count() == 1


def test_fewer_letters_than_were_shown_are_dealt_with() -> None:
    letters = [letter_of(f"job-{number}") for number in range(2)]
    client, page = client_of(), page_of("discard", Selection(queue_name="default"))
    assert '<input type="hidden" name="count" value="2">' in client.get(page).text
    discard(letters[0])
    client.post(page, FORM | {"count": "2"})
    assert not DeadLetter.objects.dead().exists()


def test_what_is_confirmed_twice_is_one_run() -> None:
    letter_of()
    client, page = client_of(), page_of("requeue", Selection(queue_name="default"))
    key = client.get(page).context["form"]["key"].value()
    first = client.post(page, FORM | {"key": key})
    again = client.post(page, FORM | {"key": key}, follow=True)
    run = RecoveryRun.objects.get()
    assert f"Recovery run {run.pk} had been started already." in again.text
    assert first["Location"] == again.request["PATH_INFO"]
    assert LogEntry.objects.count() == 1
    # Who asks anew means another.
    assert client.get(page).context["form"]["key"].value() != key
    client.post(page, FORM | {"key": client.get(page).context["form"]["key"].value()})
    assert RecoveryRun.objects.count() == 2


def test_what_is_confirmed_by_many_at_once_is_one_run() -> None:
    letter_of()
    key, started, refused = uuid4(), [], []

    def start() -> None:
        try:
            started.append(start_run(Selection(queue_name="default"), key=key).pk)
        except RunAlreadyStarted as error:
            refused.append(error.run)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: start(), range(8)))
    assert len(started) == 1
    assert refused == started * 7


@pytest.mark.parametrize(
    ("verb", "queue_name"), [("requeue", "low"), ("discard", "default"), ("discard", "low")]
)
def test_a_key_leads_to_no_run_that_is_another(
    verb: str, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for would not be done."""
    letter_of()
    letter_of("other", queue_name="low")
    client, key = client_of(), str(uuid4())
    client.post(page_of("requeue", Selection(queue_name="default")), FORM | {"key": key})
    run = RecoveryRun.objects.get()
    monkeypatch.setattr(discarding, "MOST", 0)  # so that this is a run, too
    page = page_of(verb, Selection(queue_name=queue_name))
    answer = client.post(page, FORM | {"key": key}, follow=True)
    assert f"This page was used for recovery run {run.pk}, which is another" in answer.text
    assert answer.request["PATH_INFO"] == address("changelist")
    assert RecoveryRun.objects.get() == run
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("verb", ["discard", "restore"])
def test_what_others_have_done_meanwhile_is_said_and_not_logged(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the count and the change."""
    letter_for(verb)
    operation = next(each for each in BULK_OPERATIONS if each.name == verb)
    count_them = type(operation).count

    def late(chosen: Chosen) -> Count:
        found = count_them(operation, chosen)
        DeadLetter.objects.update(status="requeued")
        return found

    monkeypatch.setattr(operation, "count", late, raising=False)
    answer = client_of().post(page_of(verb, Selection(queue_name="default")), FORM, follow=True)
    assert "changed meanwhile: nothing was done" in answer.text
    assert not LogEntry.objects.exists()
