"""What the overview says of each state, in words."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import pause_queue
from django_resilient_queue.admin.amounts import age, moment
from django_resilient_queue.admin.causes import what_it_does
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from example_project.servers import RedisServer
from tests.clients import client_of
from tests.enqueueing import queue
from tests.health import live_worker, waiting_row
from tests.integration.overview.screen import REFUSED, headline, outage, page
from tests.jobs import succeed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def test_when_all_is_well_it_says_so() -> None:
    live_worker("a")
    live_worker("b")
    html = page(client_of("view_overview"))
    assert headline(html) == "Healthy: both stores take jobs, 2 workers for 4 queues"


def test_an_outage_is_said_with_its_cause_its_time_and_what_is_done_meanwhile(
    redis_server: RedisServer,
) -> None:
    live_worker(mode=Mode.DATABASE)
    began = timezone.now().replace(hour=0, minute=0)
    outage(started_at=began, jobs_executed=312)
    waiting_row("a")
    waiting_row("b", state=State.DISPATCHED)
    redis_server.kill()
    said = headline(page(client_of("view_overview")))
    assert said.endswith(
        ": Redis refuses connections since 00:00, 312 jobs have run from the database, 2 wait there"
    )


def test_an_outage_that_no_worker_has_noted_is_said_too(redis_server: RedisServer) -> None:
    live_worker()
    redis_server.kill()
    said = headline(page(client_of("view_overview")))
    assert said.startswith("Degraded: Redis refuses connections since ")


def test_a_redis_that_is_back_and_unused_is_said() -> None:
    live_worker(mode=Mode.DATABASE)
    outage()
    said = headline(page(client_of("view_overview")))
    assert said.startswith("Degraded: Redis answers again, and no worker has gone back to it yet")


def test_what_is_wrong_otherwise_is_said_the_worst_first(settings: Settings) -> None:
    html = page(client_of("view_overview"))
    assert headline(html) == "Critical: No worker is alive: jobs are accepted and not executed"
    live_worker(queues="critical,high")
    queue("low").enqueue(succeed, 1)
    html = page(client_of("view_overview"))
    assert headline(html) == "Critical: No live worker serves low, where jobs wait"
    assert "No live worker serves default." in html


def test_of_jobs_that_are_late_it_says_that_somebody_paused_them() -> None:
    live_worker()
    for name in ("low", "high"):
        waiting_row(f"of-{name}", queue_name=name, due_at=timezone.now() - timedelta(hours=1))
    pause_queue("low")
    said = headline(page(client_of("view_overview")))
    assert said == "Degraded: A job in high, low (paused) has waited for more than 5 min"


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (REFUSED, "refuses connections"),
        ("TimeoutError: Timeout reading from socket", "does not answer"),
        ("no answer within 0.35 s", "does not answer"),
        ("BusyLoadingError: Redis is loading the dataset in memory", "loads its data"),
        ("ReadOnlyError: You can't write against a read only replica.", "takes no writes"),
        ("OutOfMemoryError: command not allowed when used memory", "is out of memory"),
        ("ResponseError: MISCONF Redis is configured to save", "can't save to its disk"),
        ("AuthenticationError: invalid username-password pair", "refuses the password"),
        ("ConnectionError: Connection closed by server.", "can't be reached"),
        ("", "is away"),
    ],
)
def test_a_cause_is_told_in_words(cause: str, words: str) -> None:
    assert what_it_does(cause) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3700, "1 h 1 min"),
        (86400, "1 day"),
        (200_000, "2 days"),
    ],
)
def test_an_age_is_told_in_words(seconds: float | None, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(("span", "length"), [("hour", 1), ("day", 24), ("week", 168)])
def test_the_line_of_outages_says_when_it_begins_and_ends(span: str, length: int) -> None:
    html = page(client_of("view_overview"), span=span)
    found = sharing.snapshot().report.checked_at
    since = moment(found - timedelta(hours=length), found)
    assert f"<span>{since}</span><span>now</span>" in html


def test_it_says_by_which_clock_its_times_are(settings: Settings) -> None:
    """Who is on call may sit where it is another time."""
    for name, words in (("UTC", "UTC"), ("Asia/Tokyo", "JST")):
        settings.TIME_ZONE = name
        html = page(client_of("view_overview"))
        assert re.search(rf'<time id="drq-as-of">\d\d:\d\d:\d\d {words}</time>', html)


def test_where_new_jobs_go_is_said_beside_the_circuit(redis_server: RedisServer) -> None:
    """To who is new, a closed circuit sounds like a shop that is closed."""
    live_worker()
    assert "New jobs go to Redis" in page(client_of("view_overview"))
    redis_server.kill()
    assert "New jobs go to the database" in page(client_of("view_overview"))
