"""Lists as they look in a shop at work: long names, many queues, rows in each state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from django_resilient_queue.models import DeadLetter, Outage, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.test_tables import ADMIN
from tests.health import address, live_worker, waiting_row
from tests.rows import make_alert
from tests.stores import QUEUES, snapshot

HOST = "web-{}.eu-central-1.compute.internal"
QUEUE = "invoices-and-reminders-eu-central"
ERRORS = (
    ("smtplib.SMTPRecipientsRefused", "550 5.1.1 <bob@exmaple.com>: there is no such mailbox"),
    ("requests.exceptions.ConnectionError", "HTTPSConnectionPool(host='api.carrier.example')"),
    ("", "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9)"),
)


def ago(**values: float) -> Any:
    return timezone.now() - timedelta(**values)


@pytest.fixture(autouse=True)
def queues(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, QUEUE: settings.RQ_QUEUES["default"]}


@pytest.fixture(params=["en", "de"])
def language(request: pytest.FixtureRequest, settings: Settings) -> str:
    settings.LANGUAGE_CODE = request.param
    return str(request.param)


def workers() -> None:
    live_worker(f"{HOST.format(3)}.4711.a8f3c2", in_flight=[["order-8123", "t"]])
    live_worker(f"{HOST.format(4)}.812.b1e9aa", queues=f"{QUEUE},low", is_to_stop=True)
    live_worker(f"{HOST.format(5)}.77", mode="database")
    live_worker(f"{HOST.format(6)}.9", seen_at=ago(hours=7))


def runs() -> None:
    common = {"selection": {"queue_name": "low"}, "created_by": "ann.schmidt", "total": 12_000}
    for status, note in (("running", ""), ("paused", "2 of the canary's 5 letters died again")):
        RecoveryRun.objects.create(
            status=status,
            note=note,
            reason="the carrier's API is back, SHOP-1190",
            created_at=ago(minutes=190),
            requeued=1830,
            skipped=4,
            refused=1,
            **common,
        )


def letters() -> None:
    for number, (error, message) in enumerate(ERRORS):
        job = snapshot(f"order-800{number}-confirmation-mail", (*QUEUES, QUEUE)[-number])
        failure = Failure(Reason.RETRIES_EXCEEDED, error, message, "Traceback")
        DeadLetter.objects.record(
            [DeadLetter.of(job, failure, attempts=12, died_at=ago(hours=3 * number))]
        )


def jobs() -> None:
    waiting_row("order-9001-confirmation-mail", QUEUE)
    waiting_row("5f0f35e1-9c63-4a5f-b4a6-0d2f5ad6b1f0", due_at=timezone.now() + timedelta(days=2))
    waiting_row("order-9003", state="claimed", claimed_by=f"{HOST.format(5)}.77")


def outages() -> None:
    cause = "StoreRefused: Error 111 connecting to 127.0.0.1:6379. Connection refused."
    counts = {"jobs_stored": 23_110, "jobs_executed": 31_200, "jobs_drained": 8_000}
    Outage.objects.create(
        broker=address(),
        started_at=ago(hours=9),
        ended_at=ago(hours=8, minutes=40),
        cause=cause,
        slowest_enqueue=0.287,
        **counts,
    )


def alerts() -> None:
    message = "A job has waited in the database for more than 5 min, which workers should have run."
    make_alert(address(), rule="backlog_late", severity="critical", message=message)


SHOP = {
    "workerheartbeat": workers,
    "recoveryrun": runs,
    "deadletter": letters,
    "fallbackjob": jobs,
    "outage": outages,
    "alert": alerts,
}


@pytest.mark.parametrize("name", SHOP)
def test_a_list_at_work_is_seen_whole(
    redis_server: RedisServer, operator: Operators, name: str, language: str
) -> None:
    SHOP[name]()
    ann = operator()
    ann.go(f"{ADMIN}/{name}/")
    ann.inspect(f"busy-{name}-{language}")


def test_the_overview_at_work_is_seen_whole(
    redis_server: RedisServer, operator: Operators, language: str
) -> None:
    for make in SHOP.values():
        make()
    ann = operator()
    ann.go(f"{ADMIN}/overview/?span=day")
    ann.inspect(f"busy-overview-{language}")


def test_a_worker_that_is_gone_is_not_among_those_alive(
    redis_server: RedisServer, operator: Operators
) -> None:
    """The card of the overview counts those alive, and leads to as many."""
    workers()
    page = operator().go(f"{ADMIN}/overview/")
    page.get_by_role("link", name="3 Workers alive").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    page.get_by_role("link", name="All", exact=True).first.click()
    gone = page.get_by_role("row").filter(has_text=HOST.format(6))
    expect(gone).to_contain_text("gone")
    expect(gone).to_contain_text("not heard of for 7 h")
