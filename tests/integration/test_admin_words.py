"""What pages say to somebody who has nothing but them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import pause_all, pause_queue
from django_resilient_queue.models import DeadLetter, RunItem
from example_project.servers import RedisServer
from tests.rows import MAKERS, make_letter, make_outage, make_run, make_worker

pytestmark = pytest.mark.django_db

PAGES = "admin:django_resilient_queue"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def ask(client: Client, name: str, *args: object, **query: str) -> str:
    answer = client.get(reverse(f"{PAGES}_{name}", args=args), query)
    assert answer.status_code == 200
    return answer.text


def test_an_outage_is_called_by_the_clock_that_the_page_is_in(
    root: Client, settings: Settings
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    outage = make_outage("redis:6379")
    outage.started_at = datetime(2030, 1, 2, 20, tzinfo=UTC)
    outage.save()
    assert "redis:6379 2030-01-03 05:00:00" in ask(root, "outage_change", outage.pk)


def test_a_worker_is_told_by_its_machine_and_process(root: Client) -> None:
    make_worker("w", hostname="mail-3", pid=4711)
    assert "mail-3 4711" in ask(root, "workerheartbeat_changelist")


def test_a_worker_without_a_job_has_none_and_was_seen_once(root: Client) -> None:
    page = ask(root, "workerheartbeat_change", make_worker("idle", in_flight=[]).pk)
    assert page.count("Last seen:") == 1
    # Django 6.1 has more blanks there.
    assert re.search(r'Jobs in hand:</label>\s*<div class="readonly">-</div>', page)


@pytest.mark.parametrize("name", ["deadletter", "fallbackjob", "workerheartbeat"])
def test_all_is_offered_where_something_is_left_out(root: Client, name: str) -> None:
    model: Any = next(each for each in MAKERS if each._meta.model_name == name)
    MAKERS[model]("row-one")
    assert "Show all" not in ask(root, f"{name}_changelist")
    assert "Show all" in ask(root, f"{name}_changelist", q="row-one")


def test_how_long_a_letter_can_be_restored_is_said_before_it_is_discarded(
    root: Client, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "SETTLED_LETTER_RETENTION_DAYS": 12}
    letter = make_letter("a")
    words = "can be restored for 12 days."
    assert words in ask(root, "deadletter_discard", letter.pk)
    assert words in ask(root, "deadletter_discard_all", reason="raised")


def test_how_fast_a_run_goes_is_written_as_it_was_asked_for(root: Client) -> None:
    for rate, words in ((2.0, "2"), (0.5, "0.5")):
        page = ask(root, "recoveryrun_change", make_run("mended", rate=rate).pk)
        assert f'<div class="readonly">{words}</div>' in page


@pytest.mark.django_db(transaction=True)
def test_a_run_says_that_its_canary_is_in_a_paused_queue(
    root: Client, redis_server: RedisServer
) -> None:
    """Whose end it waits for."""
    run = make_run("mended", total=9, canary=2, requeued=2)
    for name in ("low", "high"):
        letter = make_letter(f"of-{name}", queue_name=name)
        RunItem.objects.create(run=run, letter=letter, outcome="requeued")
    assert "paused:" not in ask(root, "recoveryrun_change", run.pk)
    pause_queue("low")
    assert "Their queue is paused: low." in ask(root, "recoveryrun_change", run.pk)
    pause_all()
    assert "Their queues are paused: high, low." in ask(root, "recoveryrun_change", run.pk)


def test_of_each_letter_of_a_run_it_says_what_has_come_of_it(root: Client) -> None:
    """That its job was requeued does not say that it finished."""
    run = make_run("mended")
    for status, words in (("recovered", "recovered"), ("requeued", "died again")):
        letter = make_letter(f"it-{status}", status=status)
        RunItem.objects.create(run=run, letter=letter, outcome="requeued")
        make_letter(f"again-{status}", requeued_from=letter)
        page = ask(root, "runitem_changelist")
        assert f'<td class="field-since">{words}</td>' in page
    make_letter("waits", status="requeued")
    item = RunItem.objects.create(
        run=run, letter=DeadLetter.objects.get(job_id="waits"), outcome="requeued"
    )
    assert '<div class="readonly">requeued</div>' in ask(root, "runitem_change", item.pk)


def test_a_letter_of_this_minute_is_some_seconds_old(root: Client) -> None:
    letter = make_letter("fresh")
    DeadLetter.objects.filter(pk=letter.pk).update(died_at=timezone.now())
    assert re.search(r"died \d+ s ago", ask(root, "deadletter_change", letter.pk))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("workerheartbeat", "manage.py rqworker"),
        ("recoveryrun", "choose them in their list"),
        ("pausedqueue", "The overview has a button"),
        ("alertsilence", "The page of an alert has a button"),
        ("outage", "No process has found Redis away."),
    ],
)
def test_an_empty_list_says_how_there_may_be_a_row(root: Client, name: str, words: str) -> None:
    """Unless it is empty because it was narrowed down."""
    model: Any = next(each for each in MAKERS if each._meta.model_name == name)
    model.objects.all().delete()
    assert words in ask(root, f"{name}_changelist")
    assert words not in ask(root, f"{name}_changelist", pk__exact="1")
    MAKERS[model]("row-one")
    assert words not in ask(root, f"{name}_changelist")


def test_ages_are_written_alike_on_all_pages_of_letters(root: Client) -> None:
    make_letter("fresh", fingerprint="f")
    DeadLetter.objects.update(died_at=timezone.now())
    for name in ("groups", "requeue_all"):
        assert re.search(r">\d+ s ago<", ask(root, f"deadletter_{name}", reason="raised"))
