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

from django_resilient_queue import discard
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.clients import client_of
from tests.health import live_worker, waiting_row
from tests.stores import snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

PAGE = "admin:django_resilient_queue_overview_changelist"
SEES_ALL = (
    "view_overview",
    "view_deadletter",
    "view_fallbackjob",
    "view_workerheartbeat",
    "view_outage",
)


def page(client: Client) -> str:
    sharing.reset()
    answer = client.get(reverse(PAGE))
    assert answer.status_code == 200
    return answer.text


def letter(job_id: str, error: str, queue_name: str = "default", **ago: float) -> None:
    failure = Failure(Reason.RAISED, error, "no", "Traceback")
    died_at = timezone.now() - timedelta(**ago)
    made = DeadLetter.of(snapshot(job_id, queue_name), failure, attempts=1, died_at=died_at)
    DeadLetter.objects.record([made])


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
