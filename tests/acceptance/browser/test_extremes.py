"""Names and texts as long as they can be, figures as high as they get, and nothing at all."""

from __future__ import annotations

import pytest
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Locator, expect
from pytest_django import Settings

from django_resilient_queue.models import DeadLetter, Outage
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.operator import DESK
from tests.acceptance.browser.test_tables import ADMIN
from tests.health import address, live_worker
from tests.rows import MAKERS
from tests.stores import snapshot

LONG = "q" * 200
MILLION = 1_000_000


@pytest.fixture(autouse=True)
def long_names(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, LONG: settings.RQ_QUEUES["default"]}


def letter(message: str = "no street is known") -> DeadLetter:
    error = f"shop.orders.{'deeper.' * 12}AddressUnknown"
    failure = Failure(Reason.RAISED, error, message, "Traceback: " + message)
    made = DeadLetter.of(snapshot("j" * 150, LONG), failure, attempts=MILLION, worker_name=LONG)
    DeadLetter.objects.record([made])
    return DeadLetter.objects.get()


def is_in_sight(place: Locator) -> bool:
    box = place.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= DESK["width"]


def test_the_overview_of_long_names_and_high_figures(
    redis_server: RedisServer, operator: Operators
) -> None:
    letter()
    live_worker("w" * 100, queues=LONG)
    counts = {"jobs_stored": MILLION, "jobs_executed": MILLION, "jobs_drained": MILLION}
    Outage.objects.create(
        broker=address(), started_at=timezone.now(), ended_at=timezone.now(), cause=LONG, **counts
    )
    ann = operator()
    page = ann.go(f"{ADMIN}/overview/")
    expect(page.get_by_role("row", name=f"Redis {address()}")).to_contain_text("1,000,000")
    assert is_in_sight(page.get_by_role("link", name=f"Pause {LONG}", exact=True))
    ann.inspect("long-overview")


def test_a_group_of_a_long_name_can_be_requeued(
    redis_server: RedisServer, operator: Operators
) -> None:
    """Its button is at the end of the line."""
    letter()
    ann = operator()
    page = ann.go(f"{ADMIN}/deadletter/groups/")
    assert is_in_sight(page.get_by_role("link", name="Requeue this group"))
    ann.inspect("long-groups")


@pytest.mark.parametrize("message", ["x" * 5000, "no street is known. " * 250])
def test_a_letter_of_long_words(
    redis_server: RedisServer, operator: Operators, message: str
) -> None:
    made = letter(message)
    ann = operator()
    page = ann.go(f"{ADMIN}/deadletter/")
    ann.inspect(f"long-letters-{message[0]}")
    page.goto(f"{ADMIN}/deadletter/{made.pk}/change/")
    assert is_in_sight(page.get_by_role("link", name="Correct and requeue"))
    ann.inspect(f"long-letter-{message[0]}")
    ann.go(f"{ADMIN}/deadletter/{made.pk}/requeue/")
    ann.inspect(f"long-requeue-{message[0]}")


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__.lower())
def test_a_list_of_nothing(
    redis_server: RedisServer, operator: Operators, model: type[Model]
) -> None:
    name = model.__name__.lower()
    ann = operator()
    ann.go(f"{ADMIN}/{name}/")
    ann.inspect(f"none-{name}")
