"""What has come of the letters that a run has requeued: told on its page, and listed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_resilient_queue.models import DeadLetter, RecoveryRun, RunItem
from django_resilient_queue.recovery import fates
from django_resilient_queue.recovery.fates import Fates, fates_of
from tests.integration.letters.desk import client_of
from tests.rows import make_letter, make_run

pytestmark = pytest.mark.django_db

RUNS = "admin:django_resilient_queue_recoveryrun"
ITEMS = reverse("admin:django_resilient_queue_runitem_changelist")


def item(run: RecoveryRun, name: str, status: str, outcome: str = "requeued") -> DeadLetter:
    letter = make_letter(name, status=status)
    RunItem.objects.create(run=run, letter=letter, outcome=outcome)
    return letter


@pytest.fixture
def run() -> RecoveryRun:
    """A run whose letters came to each: three recovered, one died again, two still wait."""
    made = make_run("mended", status="finished", total=8, requeued=6, skipped=2)
    for number in range(3):
        item(made, f"well-{number}", "recovered")
    again = item(made, "bad", "requeued")
    make_letter("bad-r1", requeued_from=again)
    for number in range(2):
        item(made, f"slow-{number}", "requeued")
    # What others have done is none of its doing.
    item(made, "others", "recovered", "skipped")
    item(made, "others-2", "requeued", "skipped")
    another = make_run("another", status="finished")
    item(another, "foreign", "recovered")
    return made


def page_of(client: Client, run: RecoveryRun) -> str:
    answer = client.get(reverse(f"{RUNS}_change", args=[run.pk]))
    assert answer.status_code == 200
    return answer.text


def listed(client: Client, **query: Any) -> set[str]:
    answer = client.get(ITEMS, query)
    assert answer.status_code == 200
    return {each.letter.job_id for each in answer.context["cl"].result_list}


def test_a_run_says_what_came_of_its_letters(run: RecoveryRun) -> None:
    assert fates_of(run) == Fates(3, 1, 2, is_cut=False)
    text = page_of(client_of(), run)
    for fate, words in (("recovered", "3 recovered"), ("again", "1 died again")):
        assert f"&amp;since={fate}" in text
        assert words in text
    assert "2 no end known yet" in text
    assert "requeued last" not in text


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("recovered", {"well-0", "well-1", "well-2"}),
        ("again", {"bad"}),
        ("waiting", {"slow-0", "slow-1"}),
    ],
)
def test_each_number_leads_to_these_letters(
    run: RecoveryRun, fate: str, expected: set[str]
) -> None:
    query = {"run__exact": run.pk, "outcome__exact": "requeued", "since": fate}
    assert listed(client_of(), **query) == expected


def test_what_nobody_can_come_to_narrows_nothing(run: RecoveryRun) -> None:
    assert len(listed(client_of(), run__exact=run.pk, since="x")) == 8


def test_of_many_letters_the_last_are_looked_at(
    run: RecoveryRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is said: their number is not that of all."""
    monkeypatch.setattr(fates, "MOST", 4)
    assert fates_of(run) == Fates(1, 1, 2, is_cut=True)
    client = client_of()
    assert "Of the 4 letters requeued last:" in page_of(client, run)
    query: Any = {"run__exact": run.pk, "outcome__exact": "requeued"}
    assert listed(client, **query, since="recovered") == {"well-2"}
    notice = "these are among the last ones"
    assert notice in client.get(ITEMS, {**query, "since": "again"}).text
    assert notice not in client.get(ITEMS, query).text
    # Of several runs, too.
    assert listed(client, since="recovered") == {"foreign", "others"}


def test_it_costs_the_same_however_many_letters_there_are(run: RecoveryRun) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            fates_of(run)
        return len(asked)

    few = queries()
    for number in range(20):
        item(run, f"more-{number}", "requeued")
    assert queries() == few <= 3


def test_a_page_looks_again_as_long_as_a_job_may_end(run: RecoveryRun) -> None:
    """The run itself has long ended."""
    client = client_of()
    assert 'id="drq-fates" class="drq-fates" data-drq-fresh="2"' in page_of(client, run)
    DeadLetter.objects.filter(job_id__startswith="slow").update(status="recovered")
    text = page_of(client, run)
    assert "0 no end known yet" in text
    assert "data-drq-fresh=" not in text


def test_a_page_does_not_look_for_ever_for_the_end_of_a_job(run: RecoveryRun) -> None:
    """Somebody has cancelled it, say."""
    RecoveryRun.objects.update(ended_at=timezone.now() - timedelta(days=2))
    text = page_of(client_of(), run)
    assert "2 no end known yet" in text
    assert "data-drq-fresh=" not in text


def test_who_may_not_see_letters_of_runs_sees_numbers(run: RecoveryRun) -> None:
    text = page_of(client_of("view_recoveryrun"), run)
    assert "3 recovered" in text
    assert "since=" not in text


@pytest.mark.parametrize("deed", ["discard", "restore"])
def test_what_is_not_requeued_comes_to_nothing(deed: str) -> None:
    text = page_of(client_of(), make_run("mended", deed=deed))
    assert "what came of them" not in text.casefold()
