"""Pages in another language, whose words are longer, and lists that are longer than their pages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from pytest_django import Settings

from django_resilient_queue.admin import paginator
from django_resilient_queue.models import FallbackJob, RecoveryRun
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.browser.test_tables import ADMIN, bury
from tests.rows import MAKERS


def test_an_operator_who_reads_german(
    redis_server: RedisServer, operator: Operators, settings: Settings
) -> None:
    """Every word is there, and none sticks out on a phone."""
    settings.LANGUAGE_CODE = "de"
    rows = {model.__name__.lower(): make("row-one") for model, make in MAKERS.items()}
    bury(3)
    ann = operator()
    page = ann.go(f"{ADMIN}/overview/")
    expect(page.get_by_role("heading", name="Warteschlangen", exact=True)).to_be_visible()
    ann.inspect("german-overview")
    page = ann.go(f"{ADMIN}/deadletter/")
    expect(page.get_by_role("link", name="Fehlergruppen").first).to_be_visible()
    ann.inspect("german-deadletters")
    for name in ("deadletter", "fallbackjob", "workerheartbeat", "export"):
        ann.go(f"{ADMIN}/{name}/{rows[name].pk}/change/")
        ann.inspect(f"german-{name}")
    page = ann.go(f"{ADMIN}/recoveryrun/{rows['recoveryrun'].pk}/cancel/")
    expect(page.get_by_text("Das lässt sich nicht rückgängig machen.")).to_be_visible()
    ann.inspect("german-operation")
    page.get_by_role("button", name="Lauf abbrechen").click()
    expect(page.get_by_text("Abgebrochen.", exact=True)).to_be_visible()
    assert RecoveryRun.objects.get(pk=rows["recoveryrun"].pk).status == "cancelled"


def test_a_list_with_more_rows_than_pages_says_so(
    redis_server: RedisServer, operator: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paginator, "MOST", 60)
    for number in range(61):
        MAKERS[FallbackJob](f"row-{number}")
    ann = operator()
    page = ann.go(f"{ADMIN}/fallbackjob/")
    expect(
        page.get_by_text("60 fallback jobs or more; the first 60 can be paged through")
    ).to_be_visible()
    ann.inspect("fallbackjob-cut")
    page.locator(".paginator a", has_text=re.compile(r"^\s*2\s*$")).click()
    expect(page.get_by_role("link", name="row-1", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="row-0", exact=True)).to_have_count(0)
