"""The figures of the overview: each is what the list behind it shows, and none is made up."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import discard, pause_queue
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models import DeadLetter, Sample
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from example_project.servers import RedisServer
from tests.clients import client_of
from tests.enqueueing import queue
from tests.health import address, live_worker, waiting_row
from tests.integration.overview.screen import letter, outage, page
from tests.jobs import succeed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

SEES_ALL = (
    "view_overview",
    "view_deadletter",
    "view_fallbackjob",
    "view_workerheartbeat",
    "view_outage",
)


def links(html: str) -> list[tuple[str, int]]:
    """Addresses of lists, each with the number that stands in its link."""
    found = re.findall(r'<a href="([^"]+)">(\d+)[ <]', html)
    return [(unescape(address), int(count)) for address, count in found]


def listed(client: Client, address: str) -> int:
    answer: Any = client.get(address)
    assert answer.status_code == 200, address
    return int(answer.context["cl"].result_count)


def test_each_link_leads_to_as_many_rows_as_it_says() -> None:
    for name, error in (("a", "TimeoutError"), ("b", "TimeoutError"), ("c", "ValueError")):
        letter(name, f"builtins.{error}", "low" if name == "c" else "high")
    letter("d", "shop.Odd")
    discard(DeadLetter.objects.get(job_id="d"), by="ann")
    live_worker("w-1")
    live_worker("w-2", mode=Mode.DATABASE)
    live_worker("w-3", seen_at=timezone.now() - timedelta(hours=7))  # of which nobody hears
    waiting_row("e")
    waiting_row("f", state=State.CLAIMED)
    waiting_row("g", state=State.DISPATCHED)
    client = client_of(*SEES_ALL)
    found = links(page(client))
    assert len(found) >= 9
    assert {address: listed(client, address) for address, _ in found} == dict(found)


def test_jobs_that_wait_for_their_time_are_told_apart_from_the_backlog() -> None:
    """They are in the list behind the card."""
    waiting_row("now")
    waiting_row("later", due_at=timezone.now() + timedelta(hours=1))
    waiting_row("after", waits_for="another")
    client = client_of(*SEES_ALL)
    html = page(client)
    assert "2 more wait for their time or another job" in html
    (address,) = (each for each, _ in links(html) if "fallbackjob" in each)
    assert listed(client, address) == 3


@pytest.mark.parametrize(
    ("ago", "words"), [({"minutes": 5.2}, "5 min"), ({"hours": 30.1}, "1 day")]
)
def test_the_age_of_the_oldest_letter_is_not_rounded_to_days(
    ago: dict[str, float], words: str
) -> None:
    letter("old", "shop.Gone", "default", **ago)
    letter("young", "shop.Gone")
    assert f"Oldest: {words}<" in page(client_of("view_overview"))


def test_outages_that_the_database_did_not_tell_are_not_said_to_be_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fall_asleep(*args: Any) -> None:
        raise RuntimeError("the statement took too long")

    monkeypatch.setattr(sharing, "_fill", fall_asleep)
    html = page(client_of("view_overview"))
    assert "No outage in the last hour." not in html
    assert "The database did not say in time." in html[html.index("drq-outages-title") :]


def test_names_that_somebody_else_chose_are_no_html(settings: Settings) -> None:
    """An error, a worker and a queue may be called anything."""
    bad = "<script>alert(1)</script>"
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, bad: settings.RQ_QUEUES["default"]}
    letter("a", bad, bad)
    live_worker(bad, queues=bad)
    html = page(client_of(*SEES_ALL, "pause_queue"))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_a_suspension_of_all_workers_is_said(redis_server: RedisServer) -> None:
    live_worker()
    client = client_of("view_overview")
    assert "rqsuspend" not in page(client)
    with redis_server.client() as connection:
        connection.set("rq:suspended", 1)
    assert "keeps them from starting jobs" in page(client)


def test_the_cards_lead_to_the_lists_behind_them() -> None:
    live_worker("a")
    live_worker("b", mode=Mode.DATABASE)
    letter("a", "builtins.TimeoutError")
    letter("b", "builtins.TimeoutError")
    letter("c", "builtins.ValueError", "low")
    waiting_row("d", due_at=timezone.now() - timedelta(minutes=5))
    all_of_it = ("view_deadletter", "view_fallbackjob", "view_workerheartbeat", "view_outage")
    html = page(client_of("view_overview", *all_of_it))
    letters = reverse("admin:django_resilient_queue_deadletter_changelist")
    assert f"{letters}?category__exact=timeout&amp;status__exact=dead" in html
    assert f"{letters}?queue_name__exact=low&amp;status__exact=dead" in html
    assert (
        f"{reverse('admin:django_resilient_queue_fallbackjob_changelist')}?state__exact=ready"
        in html
    )
    assert "Oldest: 5 min" in html
    assert "1 from Redis" in html
    assert "1 from the database" in html
    client = client_of("view_deadletter")
    found = client.get(f"{letters}?category__exact=timeout&status__exact=dead").text
    assert "builtins.TimeoutError" in found
    assert "builtins.ValueError" not in found


def test_nobody_is_led_to_what_they_may_not_see() -> None:
    letter("a", "builtins.TimeoutError")
    html = page(client_of("view_overview"))
    assert "1 time limit" in html
    for name in ("deadletter", "fallbackjob", "workerheartbeat", "outage"):
        assert reverse(f"admin:django_resilient_queue_{name}_changelist") not in html


def test_the_table_of_queues_counts_what_both_stores_have() -> None:
    live_worker()
    queue("low").enqueue(succeed, 1)
    queue("low").enqueue_in(timedelta(hours=1), succeed, 1)
    waiting_row("a", "low")
    letter("b", "builtins.ValueError", "low")
    pause_queue("low")
    now = timezone.now()
    Sample.objects.create(
        broker=address(),
        minute=now - timedelta(minutes=2),
        taken_at=now - timedelta(minutes=2),
        performed={"low": [0, 0]},
    )
    html = page(client_of("view_overview"))
    start = html.index('<th scope="row">low</th>')
    row = html[start : html.index("</tr>", start)]
    cells = [part.split("</td>")[0].split(">")[-1] for part in row.split("<td")[1:]]
    assert cells[:4] == ["2", "0", "1", "1"]
    assert cells[5:7] == ["0.0", "1"]
    assert "paused" in row


def test_the_outages_of_the_span_are_told_with_their_counts() -> None:
    live_worker()
    now = timezone.now()
    for hours in (0.5, 5, 100):
        began = now - timedelta(hours=hours)
        ended = began + timedelta(minutes=3)
        counts = {"jobs_stored": 2417, "jobs_executed": 1312, "jobs_drained": 7}
        outage(started_at=began, ended_at=ended, open_marker=None, **counts)
    client = client_of("view_overview")
    for span, words in (
        ("hour", "1 outage in the last hour."),
        ("day", "2 outages in the last day."),
        ("week", "3 outages in the last week."),
    ):
        html = page(client, span=span)
        assert words in html
    assert html.count("1,312") == html.count("2,417") == 3
    assert html.count("3 min") == 3
