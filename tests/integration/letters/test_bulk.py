"""What is done to many letters at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_resilient_queue import discard, restore, signals
from django_resilient_queue.admin.letters import bulk_operations
from django_resilient_queue.admin.letters.bulk_operations import BULK_OPERATIONS, Chosen
from django_resilient_queue.admin.letters.choosing import query_of, selection_from
from django_resilient_queue.exceptions import RunAlreadyStarted
from django_resilient_queue.models import DeadLetter, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery import counting, discarding
from django_resilient_queue.recovery.counting import Count, count
from django_resilient_queue.recovery.runs import Turn, drive_runs, start_run
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.stores.base import boottime
from django_resilient_queue.worker import ResilientWorker
from tests.enqueueing import queue
from tests.integration.letters.desk import RAISED, REVEAL, VIEW, address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

PERMISSIONS = {
    "requeue": ("requeue_deadletter", "add_recoveryrun"),
    "discard": ("discard_deadletter",),
    "restore": ("discard_deadletter",),
    "export": (REVEAL,),
}
VERBS = sorted(PERMISSIONS)
FORM = {"rate": "10", "canary": "1", "reason": "mended"}
OTHER = Failure(Reason.TIMEOUT, "rq.timeouts.JobTimeoutException", "too long")


def page_of(verb: str, selection: Selection) -> str:
    return f"{address(f'{verb}_all')}?{query_of(selection)}"


def letter_for(verb: str) -> DeadLetter:
    letter = letter_of()
    if verb == "restore":
        discard(letter)
    return letter


def choose(client: Client, verb: str, *, query: str = "", **fields: object) -> str:
    """Take an action of the list; returns where it leads to."""
    form = {"action": f"{verb}_all", "index": "0", **fields}
    return str(client.post(f"{address('changelist')}{query}", form)["Location"])


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


def test_chosen_letters_become_a_recovery_run_with_a_page() -> None:
    chosen = [letter_of(f"job-{number}").pk for number in range(3)]
    letter_of("other")
    client = client_of()
    page = choose(client, "requeue", _selected_action=chosen)
    answer = client.post(page, FORM, follow=True)
    run = RecoveryRun.objects.get()
    assert answer.request["PATH_INFO"].endswith(f"/recoveryrun/{run.pk}/change/")
    assert "has been started, of 3 letters" in answer.text
    assert (run.total, run.rate, run.canary, run.reason) == (3, 10.0, 1, "mended")
    assert run.created_by == "user-0"
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(run.pk), "Started: mended")


def test_all_letters_of_a_list_are_those_that_were_there() -> None:
    for number in range(3):
        letter_of(f"job-{number}")
    letter_of("other", OTHER)
    client = client_of()
    query = "?category__exact=other&reason__exact=raised"
    page = choose(client, "requeue", query=query, select_across="1", _selected_action=["0"])
    later = timezone.now() + timedelta(seconds=1)
    letter_of("later", died_at=later)
    assert "<b>3 letters</b> are meant." in client.get(page).text
    client.post(page, FORM)
    run = RecoveryRun.objects.get()
    assert run.total == 3
    assert {name: run.selection[name] for name in ("reason", "category")} == {
        "reason": "raised",
        "category": "other",
    }


def test_what_a_search_has_found_is_chosen_by_its_ids() -> None:
    found = [letter_of(f"job-{number}").pk for number in range(2)]
    letter_of("other", OTHER)
    page = choose(
        client_of(), "discard", query="?q=no street", select_across="1", _selected_action="0"
    )
    chosen = selection_from(QueryDict(urlsplit(page).query))
    assert sorted(chosen.ids) == sorted(found)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?status__exact=recovered", "choose that status"),
        ("?q=nothing is like that", "has found no letters"),
        ("?attempts__gt=2", "be applied to all letters at once"),
    ],
)
def test_what_can_not_be_chosen_as_a_whole_is_said(query: str, words: str) -> None:
    letter_of()
    client = client_of()
    back = choose(client, "requeue", query=query, select_across="1", _selected_action="0")
    assert words in client.get(back).text


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


def test_an_export_of_a_list_is_what_the_list_showed() -> None:
    letter_of("dead")
    discard(letter_of("discarded"))
    client = client_of()
    for query, ids in (
        ("?queue_name__exact=default", {"dead"}),
        ("?queue_name__exact=default&status__exact=discarded", {"discarded"}),
        ("?queue_name__exact=default&status__exact=all", {"dead", "discarded"}),
    ):
        page = choose(client, "export", query=query, select_across="1", _selected_action="0")
        shown = client.get(page)
        assert {letter.job_id for letter, _died in shown.context["sample"]} == ids
        assert exported_by(client, page) == ids


def exported_by(client: Client, page: str) -> set[str]:
    answer = client.post(page)
    lines = b"".join(answer.streaming_content).splitlines()  # type: ignore[attr-defined]
    return {json.loads(line)["job_id"] for line in lines}


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


@pytest.mark.parametrize(
    "query",
    [
        "",
        "nonsense=1",
        "ids=1,x",
        "ids=" + ",".join(["1"] * 301),
        f"ids={2**63}",
        "ids=" + "9" * 5000,
        "queue_name=default&status=lost",
        "since=yesterday",
        "until=2030-01-31T12:00:00",
        "until=2030-13-31T12:00:00Z",
        "since=0001-01-01T00:00:00%2B05:00",
        "until=9999-12-31T23:59:59-05:00",
        "fingerprint=",
        "handler=a%00",
    ],
)
def test_an_address_that_names_no_letters_is_a_bad_request(query: str) -> None:
    letter_of()
    answer = client_of().get(f"{address('requeue_all')}?{query}")
    assert answer.status_code == 400


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


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000, "²", str(2**63)])
def test_chosen_numbers_that_are_none_of_a_letter_are_a_bad_request(number: str) -> None:
    letter_of()
    client = client_of()
    assert client.get(f"{address('requeue_all')}?ids={number}").status_code == 400
    form = {"action": "requeue_all", "index": "0", "_selected_action": [number]}
    assert client.post(address("changelist"), form).status_code == 400


def test_a_selection_can_be_read_from_its_address() -> None:
    now = timezone.now()
    for selection in (
        Selection(ids=(3, 5)),
        Selection(handler="email:send", queue_name="high", since=now, until=now),
        Selection(reason="raised", category="other", error_class="a.B", fingerprint="ff"),
    ):
        assert selection_from(QueryDict(query_of(selection))) == selection


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


def test_who_starts_a_run_that_they_may_not_see_is_led_to_the_list() -> None:
    letter_of()
    client = client_of(VIEW, *PERMISSIONS["requeue"])
    page = page_of("requeue", Selection(queue_name="default"))
    answer = client.post(page, FORM, follow=True)
    assert answer.status_code == 200
    assert "has been started, of 1 letters" in answer.text


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
