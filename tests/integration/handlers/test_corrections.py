"""Corrected payloads of registered handlers, at their requeue: held against the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_resilient_queue import InvalidPayload, get_job, requeue
from django_resilient_queue.exceptions import UnknownHandler
from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.models import Correction, DeadLetter, FallbackJob
from django_resilient_queue.outcomes import Attempt, Failure, Reason, fail
from django_resilient_queue.recovery.transcript import transcript
from django_resilient_queue.stores.base import Claim
from example_project.servers import RedisServer
from tests.enqueueing import queue

pytestmark = pytest.mark.django_db(transaction=True)

LETTER = {"ledger": "/dev/null", "to": "nobody", "subject": "the secret plan"}


def letter_of(name: str = "letter:send", payload: dict[str, Any] = LETTER) -> DeadLetter:
    """A job that died, perhaps under an older schema."""
    from django_resilient_queue.jobs import JobSnapshot

    job = queue().create_job(PERFORM, args=(name,), kwargs=payload, description=name, job_id="job")
    snapshot = JobSnapshot.of(job, queue_name="default")
    DeadLetter.objects.record([DeadLetter.of(snapshot, Failure(Reason.RAISED), attempts=1)])
    return DeadLetter.objects.get()


def test_a_letter_names_its_handler() -> None:
    assert letter_of().handler == "letter:send"


@pytest.mark.parametrize(
    ("correction", "fields"),
    [
        ({**LETTER, "to": "still nobody"}, ["to"]),
        ({**LETTER, "to": "ann@example.com", "two": 2}, ["two"]),
        ({"to": "ann@example.com"}, ["ledger", "subject"]),
        ({**LETTER, "to": b"ann@example.com"}, ["to"]),
    ],
)
def test_a_correction_that_the_schema_refuses_changes_nothing(
    correction: dict[str, Any], fields: list[str]
) -> None:
    letter = letter_of()
    with pytest.raises(InvalidPayload) as caught:
        requeue(letter, kwargs=correction)
    assert sorted(caught.value.errors) == fields
    letter.refresh_from_db()
    assert letter.status == "dead"
    assert not FallbackJob.objects.exists()
    assert not Correction.objects.exists()


def test_a_correction_is_stored_as_a_payload_is(redis_server: RedisServer) -> None:
    letter = letter_of()
    requeue(letter, kwargs={**LETTER, "to": "ann@example.com"}, by="ann")
    found = get_job("job-r1")
    assert found is not None
    assert found.job is not None
    assert found.job.kwargs["to"] == "ann@example.com"
    assert set(found.job.kwargs) == {*LETTER, "body", "stamped_at", "key"}
    assert found.job.description == "letter:send"
    correction = Correction.objects.get()
    assert correction.before["kwargs"]["to"] == "nobody"
    assert correction.after["kwargs"] == found.job.kwargs


def test_what_is_not_corrected_is_not_held_against_the_schema() -> None:
    """It may be the schema that was mended."""
    assert requeue(letter_of()) == "job-r1"


def test_a_correction_needs_its_handler() -> None:
    with pytest.raises(UnknownHandler, match="letter:gone"):
        requeue(letter_of("letter:gone"), kwargs={})
    assert not FallbackJob.objects.exists()


def test_what_the_handler_redacts_is_masked_where_its_letter_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    letter = letter_of()
    requeue(letter, kwargs={**LETTER, "to": "ann@example.com", "subject": "another secret"})
    call_command("dlq", "show", str(letter.pk), "--json")
    text = capsys.readouterr().out
    assert "secret" not in text
    [masked] = json.loads(text)["corrections"]
    assert masked["after"]["kwargs"]["subject"] == "********"
    assert masked["after"]["kwargs"]["to"] == "ann@example.com"


def test_what_the_handler_redacts_is_masked_in_the_log_of_a_letter_that_no_store_takes() -> None:
    dead = letter_of()
    now = timezone.now()
    claim = Claim(dead.snapshot, "redis", "token")
    end = fail(claim.snapshot, Attempt("w", "t", now, now), Failure(Reason.RAISED))
    line = json.loads(transcript(claim, end))
    assert line["kwargs"]["subject"] == "********"
    assert "secret" not in json.dumps({**line, "payload": ""})
