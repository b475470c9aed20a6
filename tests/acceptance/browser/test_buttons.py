"""Buttons above a row, and those that confirm: where they lie, and which is which."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.test_tables import ADMIN
from tests.rows import make_run
from tests.stores import snapshot


def letter() -> DeadLetter:
    failure = Failure(Reason.RAISED, "shop.orders.AddressUnknown", "no street is known")
    made = DeadLetter.of(snapshot("order-8001-confirmation-mail"), failure, attempts=1)
    DeadLetter.objects.record([made])
    return DeadLetter.objects.get()


def ground(place: Locator) -> str:
    return str(place.evaluate("each => getComputedStyle(each).backgroundColor"))


def button(page: Page, name: str) -> Locator:
    return page.locator(".object-tools").get_by_role("link", name=name, exact=True)


def test_the_name_of_a_letter_is_not_below_its_buttons(
    redis_server: RedisServer, operator: Operators
) -> None:
    row = letter()
    ann = operator()
    ann.go(f"{ADMIN}/deadletter/{row.pk}/change/")
    ann.inspect("buttons-letter")


def test_what_takes_something_away_does_not_look_like_anything_else(
    redis_server: RedisServer, operator: Operators
) -> None:
    row, run = letter(), make_run("carrier is back")
    page = operator().go(f"{ADMIN}/deadletter/{row.pk}/change/")
    looks = [ground(button(page, name)) for name in ("Requeue", "Discard", "Export")]
    assert len(set(looks)) == 3
    button(page, "Discard").click()
    discard = ground(page.get_by_role("button", name="Discard"))
    page.goto(f"{ADMIN}/deadletter/{row.pk}/requeue/")
    assert ground(page.get_by_role("button", name="Requeue")) != discard
    page.goto(f"{ADMIN}/recoveryrun/{run.pk}/cancel/")
    assert ground(page.get_by_role("button", name="Cancel run")) == discard
