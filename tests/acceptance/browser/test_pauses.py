"""Pauses in the admin, as an operator sees them."""

from __future__ import annotations

from playwright.sync_api import expect

from django_resilient_queue import pause_queue
from django_resilient_queue.models import PausedQueue
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators

LIST = "/admin/django_resilient_queue/pausedqueue/"


def test_an_operator_resumes_a_queue(redis_server: RedisServer, operator: Operators) -> None:
    pause_queue("default", reason="the printer is out of paper", by="ann")
    bob = operator()
    page = bob.go(LIST)
    bob.inspect("pauses")
    page.get_by_role("link", name="default").click()
    bob.inspect("pause")
    page.get_by_role("link", name="Resume").click()
    bob.inspect("pause-resume")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Resumed.")).to_be_visible()
    assert not PausedQueue.objects.exists()


def test_nobody_without_the_permission_resumes(
    redis_server: RedisServer, operator: Operators
) -> None:
    pause_queue("default")
    row = PausedQueue.objects.get()
    bob = operator("view_pausedqueue")
    page = bob.go(f"{LIST}{row.pk}/change/")
    expect(page.get_by_text("default").first).to_be_visible()
    expect(page.get_by_role("link", name="Resume")).to_have_count(0)
    answer = page.goto(f"{LIST}{row.pk}/resume/")
    assert answer is not None
    assert answer.status == 403
    assert PausedQueue.objects.exists()
