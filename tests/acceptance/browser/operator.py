"""Somebody at a browser: sees the admin's pages as they are, with real scripts and styles."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize

from tests.acceptance.browser.conftest import MILLISECONDS

# Screenshots stay for whoever wants to look at the pages; DRQ_SCREENSHOTS names a folder for them.
SCREENSHOTS = Path(
    os.environ.get("DRQ_SCREENSHOTS") or Path(tempfile.gettempdir()) / "drq-screenshots"
)
DESK: ViewportSize = {"width": 1280, "height": 900}
# The button of a list's actions; since Django 6.1 it is another.
GO = re.compile("^(Go|Run)$")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE: ViewportSize = {"width": 375, "height": 812}
# The parts of tables that lie out of sight, and the buttons that lie upon words.
CUT_OFF = """[...document.querySelectorAll(".results, .drq-scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.scrollWidth - each.clientWidth)"""
# Since Django 6.1 they have a box of their own.
TITLES = ":is(#content, .titles) > :is(h1, h2)"
UPON_WORDS = """(titles) => [...document.querySelectorAll(titles)].flatMap((title) => {
  const words = document.createRange();
  words.selectNodeContents(title);
  const under = [...words.getClientRects()];
  return [...document.querySelectorAll(".object-tools a")].filter((button) => {
    const on = button.getBoundingClientRect();
    return under.some((each) => each.left < on.right && on.left < each.right
      && each.top < on.bottom && on.top < each.bottom);
  }).map((button) => button.textContent);
})"""
# Short words of lists, and figures, that a line ends in the middle of.
CELLS = "#result_list tbody :is(td, th)"
BROKEN = r"""(cells) => [...document.querySelectorAll(cells)].flatMap((cell) => {
  const found = [];
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const { 0: word, index } of texts.currentNode.data.matchAll(/[^\s-]+/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, index);
      range.setEnd(texts.currentNode, index + word.length);
      if (word.length <= 12 && range.getClientRects().length > 1) found.push(word);
    }
  }
  return found;
})"""


class Operator:
    """A member of staff with some permissions, logged in at a browser of their own."""

    def __init__(self, browser: Browser, address: str, permissions: tuple[str, ...]) -> None:
        self.user = staff(*permissions)
        self.address = address
        self.complaints: list[str] = []
        self._context = browser.new_context(viewport=DESK, base_url=address, locale="en-US")
        name, value = session_of(self.user)
        self._context.add_cookies([{"name": name, "value": value, "url": address}])
        # Chromium asks for it once, whichever page comes first.
        self._context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def close(self) -> None:
        self._context.close()

    def go(self, path: str) -> Page:
        """Open a page of this site; `path` begins with ``/``."""
        self.page.goto(path)
        return self.page

    def inspect(self, name: str) -> None:
        """Hold the page that is open against what holds for every page.

        No violation that axe-core can find, in light and dark; no table is wider than its place at
        a desk or on a phone, no short word of a list is broken, and no button lies upon words; at
        phone width nothing sticks out; the browser had nothing to complain about, such as a script
        that the policy refuses. Screenshots of each are kept under *name*.
        """
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self._require_order(name)
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            self.page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)
            found = self.violations()
            assert not found, f"{name}, {scheme}: {found}"
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(PHONE)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-phone.png", full_page=True)
        sticking_out = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        upon, broken = self.page.evaluate(UPON_WORDS, TITLES), self.page.evaluate(BROKEN, CELLS)
        cut = self.page.evaluate(CUT_OFF)
        self.page.set_viewport_size(DESK)
        assert not cut, f"{name}: a table lies out of sight by {cut} pixels on a phone"
        assert not broken, f"{name}: {broken} are broken on a phone"
        assert not upon, f"{name}: {upon} lie upon words on a phone"
        assert sticking_out <= 0, f"{name} is {sticking_out} pixels too wide for a phone"
        assert not self.complaints, self.complaints

    def violations(self) -> list[tuple[str, list[Any]]]:
        """Return what axe-core finds: rules, each with the elements that break it."""
        said = list(self.complaints)
        found = Axe().run(self.page).response["violations"]
        self.complaints[:] = said  # it tries inline styles, which the policy refuses
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]

    def _require_order(self, name: str) -> None:
        cut, upon = self.page.evaluate(CUT_OFF), self.page.evaluate(UPON_WORDS, TITLES)
        broken = self.page.evaluate(BROKEN, CELLS)
        assert not broken, f"{name}: {broken} are broken"
        assert not cut, f"{name}: a table lies out of sight by {cut} pixels"
        assert not upon, f"{name}: {upon} lie upon words"

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


def staff(*permissions: str) -> User:
    """Create a member of staff; without permissions named, one that may do everything."""
    user = User.objects.create(
        username=f"operator-{User.objects.count()}", is_staff=True, is_superuser=not permissions
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def session_of(user: User) -> tuple[str, str]:
    """Return name and value of the cookie of somebody who has logged in."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return name, client.cookies[name].value
