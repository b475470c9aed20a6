"""Which letters are meant when an action is taken in the list, and by an address."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from django_resilient_queue import discard
from django_resilient_queue.admin.letters.choosing import query_of, selection_from
from django_resilient_queue.models import RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.selection import Selection
from tests.integration.letters.desk import address, client_of, letter_of
from tests.integration.letters.verbs import FORM, choose

pytestmark = pytest.mark.django_db(transaction=True)


OTHER = Failure(Reason.TIMEOUT, "rq.timeouts.JobTimeoutException", "too long")


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
