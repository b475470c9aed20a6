"""Tables on a phone: each row is a card, and nothing has to be pushed aside to be reached."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect
from pytest_django import Settings

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.operator import CUT_OFF, SCHEMES, SCREENSHOTS
from tests.acceptance.browser.test_tables import ADMIN
from tests.health import live_worker
from tests.stores import snapshot

PHONE: ViewportSize = {"width": 390, "height": 844}
# As wide as a table's place beside the list of models.
TABLET: ViewportSize = {"width": 800, "height": 900}
LABEL = "each => getComputedStyle(each, '::before').content"


@pytest.fixture(autouse=True)
def letters(redis_server: RedisServer, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}
    live_worker()
    failure = Failure(Reason.RAISED, "shop.orders.AddressUnknown", "no street is known")
    made = [DeadLetter.of(snapshot(f"order-{n}"), failure, attempts=1) for n in range(3)]
    DeadLetter.objects.record(made)


@pytest.fixture
def page(operator: Operators) -> Page:
    opened = operator().page
    opened.set_viewport_size(PHONE)
    return opened


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)


def require_in_sight(place: Locator, width: int) -> None:
    box = place.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width, "it lies out of sight"


@pytest.mark.parametrize("viewport", [PHONE, TABLET], ids=["phone", "tablet"])
def test_a_queue_is_paused_without_pushing_its_table_aside(
    page: Page, viewport: ViewportSize
) -> None:
    page.set_viewport_size(viewport)
    page.goto(f"{ADMIN}/overview/")
    keep(page, f"overview-{viewport['width']}")
    assert page.evaluate(CUT_OFF) == []
    pause = page.get_by_role("link", name="Pause critical")
    require_in_sight(pause, viewport["width"])
    pause.click()
    expect(page.get_by_label("Reason")).to_be_visible()


def test_a_figure_says_what_it_is_of(page: Page) -> None:
    """The heads of columns are out of sight."""
    page.goto(f"{ADMIN}/overview/")
    figures = page.get_by_role("row", name="default").locator("td.drq-number")
    labels = [figures.nth(place).evaluate(LABEL) for place in range(7)]
    shown = ("Waiting", "Active", "Delayed", "Failed", "Oldest", "Throughput a minute", "Workers")
    assert labels == [f'"{each}"' for each in shown]
    page.set_viewport_size({"width": 1280, "height": 900})
    assert figures.first.evaluate(LABEL) == "none"


def test_a_list_is_of_cards_that_can_be_chosen_and_sorted(page: Page) -> None:
    page.goto(f"{ADMIN}/deadletter/")
    keep(page, "letters-390")
    age = page.locator("#result_list .field-age").first
    require_in_sight(age, PHONE["width"])
    assert age.evaluate(LABEL) == '"Age"'
    page.wait_for_load_state()
    page.locator("#action-toggle").check()
    expect(page.get_by_text("3 of 3 selected")).to_be_visible()
    page.locator("#result_list thead .text a").click()  # a link or, since Django 6.1, a button
    expect(page).to_have_url(re.compile("o="))
    assert page.evaluate(CUT_OFF) == []


def test_a_group_is_requeued_without_pushing_its_table_aside(page: Page) -> None:
    page.goto(f"{ADMIN}/deadletter/groups/")
    keep(page, "groups-390")
    require_in_sight(page.get_by_role("link", name="Requeue this group"), PHONE["width"])
    page.get_by_role("link", name="Requeue this group").click()
    expect(page.get_by_text("3 letters are meant")).to_be_visible()
    assert page.evaluate(CUT_OFF) == []
