"""What is done to many letters at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_resilient_queue import discard, signals
from django_resilient_queue.admin.letters import bulk_operations
from django_resilient_queue.models import DeadLetter, RecoveryRun
from django_resilient_queue.recovery import counting, discarding
from django_resilient_queue.recovery.counting import Count, count
from django_resilient_queue.recovery.runs import Turn, drive_runs
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.stores.base import boottime
from django_resilient_queue.worker import ResilientWorker
from tests.enqueueing import queue
from tests.integration.letters.desk import RAISED, VIEW, address, client_of, letter_of
from tests.integration.letters.verbs import FORM, PERMISSIONS, VERBS, letter_for, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_offered_and_done_with_its_own_permission(
    verb: str, acts: list[dict[str, Any]]
) -> None:
    letter = letter_for(verb)
    page = page_of(verb, Selection(ids=(letter.pk,)))
    client = client_of(VIEW, *PERMISSIONS[verb])
    shown = client.get(f"{address('changelist')}?status__exact=all").text
    assert f'value="{verb}_all"' in shown
    assert "<b>1 letter</b> is meant." in client.get(page).text
    assert not LogEntry.objects.exists()
    assert client.post(page, FORM).status_code in (200, 302)
    entry = LogEntry.objects.get()
    (told,) = acts
    assert (told["operation"], told["words"]) == (verb, entry.change_message)
    assert told["row"] == RecoveryRun.objects.first()  # of many there is none, but of a run


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_neither_offered_nor_done_without_all_of_it(verb: str) -> None:
    letter = letter_for(verb)
    page = page_of(verb, Selection(ids=(letter.pk,)))
    lacking = PERMISSIONS[verb][-1]
    every = {each for names in PERMISSIONS.values() for each in names}
    client = client_of(VIEW, *(every - {lacking}))
    shown = client.get(f"{address('changelist')}?status__exact=all").text
    assert f'value="{verb}_all"' not in shown
    assert [client.get(page).status_code, client.post(page, FORM).status_code] == [403, 403]
    assert not RecoveryRun.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_see_no_letters_does_nothing_to_them(verb: str) -> None:
    """The page that asks shows some of them."""
    page = page_of(verb, Selection(ids=(letter_for(verb).pk,)))
    client = client_of("view_outage", *PERMISSIONS[verb])
    assert [client.get(page).status_code, client.post(page, FORM).status_code] == [403, 403]
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_done_to_no_letters(verb: str) -> None:
    """Others may have dealt with them since the page was shown."""
    answer = client_of().post(page_of(verb, Selection(queue_name="high")), FORM)
    assert "<b>0 letters</b> are meant." in answer.content.decode()
    assert not RecoveryRun.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_another_site_is_refused(verb: str) -> None:
    page = page_of(verb, Selection(ids=(letter_for(verb).pk,)))
    client = client_of(VIEW, *PERMISSIONS[verb], enforce_csrf_checks=True)
    assert client.post(page, FORM).status_code == 403
    assert not LogEntry.objects.exists()


def test_many_letters_are_discarded_and_restored_with_one_entry_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discarding, "_BATCH", 2)
    pks = {letter_of(f"job-{number}").pk for number in range(5)}
    heard: list[tuple[str, int]] = []

    def discarded(dead_letter: DeadLetter, **kwargs: object) -> None:
        heard.append(("discarded", dead_letter.pk))

    def restored(dead_letter: DeadLetter, **kwargs: object) -> None:
        heard.append(("restored", dead_letter.pk))

    signals.dead_letter_discarded.connect(discarded)
    signals.dead_letter_restored.connect(restored)
    client, same = client_of(), Selection(error_class=RAISED.error_class)
    said = client.post(page_of("discard", same), {"reason": "old"}, follow=True).text
    assert "5 letters discarded." in said
    assert set(DeadLetter.objects.values_list("status", "changed_by", "change_reason")) == {
        ("discarded", "user-0", "old")
    }
    client.post(page_of("restore", same))
    assert DeadLetter.objects.dead().count() == 5
    assert sorted(heard) == sorted((verb, pk) for verb in ("discarded", "restored") for pk in pks)
    entries = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert [words.split(".")[0] for words in entries] == [
        "5 letters discarded",
        "5 letters restored",
    ]
    assert "error_class=shop" in entries[0]


def test_what_another_has_dealt_with_meanwhile_is_not_told_as_discarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look at which letters there are and the change."""
    mine, others = letter_of("mine"), letter_of("others")
    heard: list[int] = []

    def discarded(dead_letter: DeadLetter, **kwargs: object) -> None:
        heard.append(dead_letter.pk)

    signals.dead_letter_discarded.connect(discarded)
    move = discarding._move_some

    def late(*args: Any) -> set[int]:
        DeadLetter.objects.filter(pk=others.pk).update(status="requeued")
        return move(*args)

    monkeypatch.setattr(discarding, "_move_some", late)
    assert discarding.discard_all(Selection(ids=(mine.pk, others.pk))) == 1
    assert heard == [mine.pk]


def test_more_than_can_be_exported_at_once_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        letter_of(f"job-{number}")
    client, page = client_of(), page_of("export", Selection(queue_name="default"))
    monkeypatch.setattr(bulk_operations.ExportAll, "most", 2)
    assert "At most 2 at once" in client.get(page).text
    assert client.post(page).status_code == 200
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("verb", "was", "becomes"), [("discard", "dead", "discarded"), ("restore", "discarded", "dead")]
)
def test_so_many_that_nobody_could_wait_for_it_are_a_run(
    verb: str, was: str, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discarding, "MOST", 2)
    for number in range(3):
        letter = letter_of(f"job-{number}")
        if was == "discarded":
            discard(letter)
    client, page = client_of(), page_of(verb, Selection(queue_name="default"))
    shown = client.get(page)
    assert "workers do it, as one recovery run" in shown.text
    form = {"reason": "noise", "key": shown.context["form"]["key"].value()}
    for _ in range(2):
        client.post(page, form)
    run = RecoveryRun.objects.get()
    assert (run.deed, run.total, run.reason) == (verb, 3, "noise")
    assert LogEntry.objects.count() == 1
    drive_to_the_end(run)
    assert set(DeadLetter.objects.values_list("status", "changed_by", "change_reason")) == {
        (becomes, f"recovery run {run.pk}", "noise")
    }
    assert {item.outcome for item in run.items.all()} == {f"{verb.rstrip('e')}ed"}
    counted = f"of 3 letters 3 {verb.rstrip('e')}ed"
    address_of_run = f"/admin/django_resilient_queue/recoveryrun/{run.pk}/change/"
    assert counted in client.get(address_of_run).text


def drive_to_the_end(run: RecoveryRun) -> None:
    station = ResilientWorker([queue()]).station
    for _ in range(3):
        drive_runs(station, {run.pk: Turn(boottime() - 60, 0)})
    run.refresh_from_db()
    assert run.status == "finished"


def test_very_many_letters_are_told_by_their_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        letter_of(f"job-{number}", queue_name="low" if number else "default")
    discard(letter_of("other", queue_name="low"))
    monkeypatch.setattr(counting, "MOST", 2)
    client, low = client_of(), Selection(queue_name="low", until=timezone.now())
    assert "About <b>3 letters</b> are meant." in client.get(page_of("requeue", low)).text
    client.post(page_of("requeue", low), FORM)
    assert RecoveryRun.objects.get().total == 3
    assert count(low) == Count(4, is_exact=False)
    assert count(Selection(queue_name="default")) == Count(1, is_exact=True)
    same = DeadLetter.objects.get(job_id="job-3").fingerprint
    assert count(Selection(fingerprint=same), "dead") == Count(4, is_exact=False)


def test_many_letters_are_exported() -> None:
    for number in range(3):
        letter_of(f"job-{number}")
    answer = client_of().post(page_of("export", Selection(queue_name="default")))
    lines = b"".join(answer.streaming_content).splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 3


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("most_at_once", [0, 10])
def test_letters_are_counted_once_and_the_tally_is_asked_once(
    verb: str, most_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discarding, "MOST", most_at_once)
    kinds = Selection(queue_name="default", reason=letter_for(verb).reason)
    client, page = client_of(), page_of(verb, kinds)
    for form in (None, FORM):
        with CaptureQueriesContext(connections["default"]) as queries:
            answer = client.post(page, form) if form else client.get(page)
            assert answer.status_code in (200, 302)
        asked = [query["sql"].replace("`", '"') for query in queries]
        assert len([sql for sql in asked if "COUNT(*)" in sql and "deadletter" in sql]) == 1
        assert len([sql for sql in asked if "SUM(" in sql and "lettertally" in sql]) == 1


def test_who_starts_a_run_that_they_may_not_see_is_led_to_the_list() -> None:
    letter_of()
    client = client_of(VIEW, *PERMISSIONS["requeue"])
    page = page_of("requeue", Selection(queue_name="default"))
    answer = client.post(page, FORM, follow=True)
    assert answer.status_code == 200
    assert "has been started, of 1 letters" in answer.text
