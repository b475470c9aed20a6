"""Who may not see secrets learns nothing of them, wherever a letter is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.handlers.registry import job_handler, registry
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.requeueing import requeue
from tests.enqueueing import queue
from tests.integration.letters.desk import VIEW, address, client_of
from tests.rest import ROOT
from tests.rest import client as rest_client

pytestmark = pytest.mark.django_db(transaction=True)

MASK = "********"
NAME = "plan:make"


def make_plan(data: dict[str, Any]) -> None: ...


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    job_handler(NAME, redact=("plot",))(make_plan)
    yield
    registry.remove(NAME)


def dead_plan(description: str = NAME, **payload: Any) -> DeadLetter:
    job = queue().create_job(
        PERFORM,
        args=(NAME,),
        kwargs=payload or {"plot": "butler did it", "pages": 7},
        description=description,
        job_id="job",
        meta={"plot": "butler did it"},
    )
    snapshot = JobSnapshot.of(job, queue_name="default")
    DeadLetter.objects.record([DeadLetter.of(snapshot, Failure(Reason.RAISED), attempts=1)])
    return DeadLetter.objects.get()


def all_that_is_shown(letter: DeadLetter, capsys: pytest.CaptureFixture[str]) -> str:
    """What the admin, the API and the shell say of a letter to who may only look at it."""
    page: str = client_of(VIEW).get(address("change", letter.pk)).text
    answer = rest_client(VIEW).get(f"{ROOT}dlq/{letter.pk}/").content.decode()
    call_command("dlq", "show", str(letter.pk))
    call_command("dlq", "show", str(letter.pk), "--json")
    return f"{page} {answer} {capsys.readouterr().out}"


def test_a_handler_s_own_secrets_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    letter = dead_plan()
    shown = all_that_is_shown(letter, capsys)
    assert "butler" not in shown
    assert letter.readable["kwargs"] == {"plot": MASK, "pages": 7}
    assert letter.readable["problems"] == []


def test_of_a_handler_that_is_not_registered_everything_is_masked_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it had masked, nobody knows any more."""
    letter = dead_plan()
    requeue(letter, kwargs={"plot": "gardener did it", "pages": 8})
    registry.remove(NAME)
    shown = all_that_is_shown(letter, capsys)
    assert "did it" not in shown
    assert letter.readable["args"] == [NAME]
    assert letter.readable["kwargs"] == {"plot": MASK, "pages": MASK}
    assert letter.readable["meta"] == {"plot": MASK}
    [words] = letter.readable["problems"]
    assert "no handler plan:make is registered here" in words
    assert "no handler plan:make is registered here" in shown
    assert "The handler of this job is not registered here" in shown
    assert letter.revealed["kwargs"] == {"plot": "butler did it", "pages": 7}


def test_what_is_masked_of_a_handler_that_is_not_registered_is_not_searched() -> None:
    dead_plan()
    visitor, row = client_of(VIEW), '<span class="drq-id">job</span>'
    pages, plot = {"q": '"pages": 7'}, {"q": "butler"}
    assert row in visitor.get(address("changelist"), pages).text
    assert row not in visitor.get(address("changelist"), plot).text
    registry.remove(NAME)
    assert row not in visitor.get(address("changelist"), pages).text
    assert row not in visitor.get(address("changelist"), plot).text


def test_a_description_of_its_own_takes_no_mask_off_a_job(
    capsys: pytest.CaptureFixture[str],
) -> None:
    letter = dead_plan(description="the plan of May")
    assert "butler" not in all_that_is_shown(letter, capsys)
    registry.remove(NAME)
    assert "butler" not in all_that_is_shown(letter, capsys)


def test_corrections_of_a_letter_that_cannot_be_read_are_masked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    letter = dead_plan()
    requeue(letter, kwargs={"plot": "gardener did it", "pages": 8})
    DeadLetter.objects.update(payload=b"1" + b"x" * 60)
    letter.refresh_from_db()
    assert "did it" not in all_that_is_shown(letter, capsys)


def test_the_form_to_correct_it_shows_nothing_either() -> None:
    letter = dead_plan()
    registry.remove(NAME)
    page = client_of(VIEW, "correct_deadletter").get(address("correct", letter.pk)).text
    assert MASK in page
    assert "butler" not in page
