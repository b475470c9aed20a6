"""Corrections by somebody who may not see secrets, as they see them."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import Correction, DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.enqueueing import queue
from tests.stores import snapshot

LIST = "/admin/django_resilient_queue/deadletter/"
HAD = {"order": 7, "city": "Lübeck", "apiKey": "k-123"}
FAILURE = Failure(Reason.RAISED, "shop.orders.AddressUnknown", "no street is known in Lübeck")


def test_a_guess_at_a_secret_is_a_change_that_is_not_shown(
    redis_server: RedisServer, operator: Operators
) -> None:
    job = snapshot("order", kwargs=HAD)
    DeadLetter.objects.record([DeadLetter.of(job, FAILURE, attempts=3)])
    letter = DeadLetter.objects.get()
    ann = operator("view_deadletter", "correct_deadletter")
    page = ann.go(f"{LIST}{letter.pk}/correct/")
    expect(page.get_by_text("One that you replace counts as changed")).to_be_visible()
    arguments = page.get_by_label("Keyword arguments, as JSON")
    arguments.fill(json.dumps({**HAD, "apiKey": "********"}))
    page.get_by_role("button", name="See what changes").click()
    expect(page.get_by_text("Nothing is changed yet.")).to_be_visible()
    arguments.fill(json.dumps(HAD))
    page.get_by_role("button", name="See what changes").click()
    expect(page.get_by_text("Changed; it is masked.")).to_be_visible()
    ann.inspect("letter-correct-guess")
    page.get_by_role("button", name="Requeue with these changes").click()
    expect(page.get_by_text("Changed; it is masked.")).to_be_visible()
    ann.inspect("letter-guessed")
    assert Correction.objects.get().diff == []


def test_a_job_of_a_handler_that_is_gone_shows_nothing_and_says_why(
    redis_server: RedisServer, operator: Operators
) -> None:
    job = queue().create_job(
        PERFORM, args=("label:print",), kwargs=HAD, description="label:print", job_id="job"
    )
    letter = DeadLetter.of(JobSnapshot.of(job, queue_name="default"), FAILURE, attempts=1)
    DeadLetter.objects.record([letter])
    page = operator("view_deadletter").go(f"{LIST}{DeadLetter.objects.get().pk}/change/")
    expect(page.get_by_text("The handler of this job is not registered here")).to_be_visible()
    expect(page.get_by_label("Arguments and meta, as JSON")).not_to_contain_text("7")
