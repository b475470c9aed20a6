"""A Chromium, and operators who look at the admin of a live server with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.patience import LIMIT

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

    from tests.acceptance.browser.operator import Operator

MILLISECONDS = LIMIT * 1000
expect.set_options(timeout=MILLISECONDS)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# It has nothing to look for on the network; and no sandbox, which root can't have.
OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


class Operators(Protocol):
    def __call__(self, *permissions: str) -> Operator: ...


def pytest_ignore_collect(collection_path: object, config: pytest.Config) -> bool | None:
    """As with MariaDB: where there is no Chromium, its part is left out, and said to be."""
    if chromium() is None:
        config.issue_config_time_warning(
            pytest.PytestWarning("no Chromium found: the tests of the pages are left out"), 2
        )
        return True
    return None


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it is there a loop runs in the thread of the tests, which
    Django and asyncio would refuse to work beside."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        started = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield started
        started.close()


@pytest.fixture
def operator(browser: Browser, live_server: LiveServer) -> Iterator[Operators]:
    """Seats somebody with the permissions named, or with all of them, at a browser."""
    from tests.acceptance.browser.operator import Operator

    seated: list[Operator] = []

    def seat(*permissions: str) -> Operator:
        seated.append(Operator(browser, live_server.url, permissions))
        return seated[-1]

    yield seat
    for each in seated:
        each.close()
