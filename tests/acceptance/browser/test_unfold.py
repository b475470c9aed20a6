"""Our pages in the look of django-unfold, which has no style of Django's admin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.acceptance.browser.operator import DESK, SCHEMES, SCREENSHOTS


@pytest.fixture
def site(tmp_path: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.unfold", str(tmp_path / "db.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        yield json.loads(run.stdout.readline())
        run.stdin.close()


@pytest.fixture
def page(browser: Browser, site: dict[str, Any]) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK, base_url=site["address"], locale="en-US")
    session = {"name": "sessionid", "value": site["session"], "url": site["address"]}
    context.add_cookies([session])  # type: ignore[list-item]
    yield context.new_page()
    context.close()


def style(place: Locator, name: str) -> str:
    return str(place.first.evaluate("(each, name) => getComputedStyle(each)[name]", name))


def address(site: dict[str, Any], *parts: str) -> str:
    pages: list[str] = site["pages"]
    return next(each for each in pages if all(part in each for part in parts))


def test_what_has_to_be_told_apart_is_there_too(page: Page, site: dict[str, Any]) -> None:
    """Its own variables stand in for those of the admin, in light and dark."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto(address(site, "/overview/"))
        page.screenshot(path=SCREENSHOTS / f"unfold-overview-{scheme}.png", full_page=True)
        assert style(page.locator(".drq-card"), "borderTopWidth") == "3px"
        ground = style(page.locator(".drq-standing"), "backgroundColor")
        assert ground not in ("rgba(0, 0, 0, 0)", style(page.locator("body"), "backgroundColor"))
        assert style(page.locator("#drq-standing-title"), "width") == "1px"


def test_buttons_look_like_buttons_and_fields_like_fields(page: Page, site: dict[str, Any]) -> None:
    page.goto(address(site, "/recoveryrun/", "/change/"))
    assert style(page.locator(".drq-tool a"), "borderTopWidth") == "1px"
    plain = style(page.get_by_role("link", name="Pause"), "color")
    assert style(page.get_by_role("link", name="Cancel run"), "color") != plain
    page.goto(address(site, "/deadletter/", "/discard/"))
    assert page.get_by_role("heading", name="Discard").is_visible()
    assert style(page.get_by_label("Reason"), "borderTopWidth") == "1px"
    grave = style(page.get_by_role("button", name="Discard"), "backgroundColor")
    assert grave != style(page.locator("body"), "backgroundColor")
    page.screenshot(path=SCREENSHOTS / "unfold-discard.png", full_page=True)
