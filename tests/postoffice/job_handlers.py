"""Job types of a project, for the tests; found because this is an installed app."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.utils import timezone
from rest_framework import serializers

from django_resilient_queue import PermanentError, Priority, fixed, job_handler, progress
from tests import jobs


class Letter(serializers.Serializer[Any]):
    ledger = serializers.CharField()
    to = serializers.EmailField()
    subject = serializers.CharField(max_length=50)
    body = serializers.CharField(default="", allow_blank=True)
    stamped_at = serializers.DateTimeField(default=timezone.now)
    key = serializers.UUIDField(default=uuid4)
    pin = serializers.CharField(write_only=True, required=False)


class Waiting(serializers.Serializer[Any]):
    ledger = serializers.CharField()
    value = serializers.CharField()
    gate = serializers.CharField(required=False)


@job_handler("letter:send", schema=Letter, priority=Priority.HIGH, redact=["subject"])
def send(data: dict[str, Any]) -> dict[str, Any]:
    jobs.record(data["ledger"], f"to {data['to']}: {data['subject']}")
    return {"to": data["to"], "stamped_at": data["stamped_at"].isoformat()}


class AddressGone(PermanentError):
    """A subclass, as projects make them."""


@job_handler("letter:bounce", schema=Waiting, attempts=5, backoff=fixed(0))
def bounce(data: dict[str, Any]) -> None:
    jobs.record(data["ledger"], data["value"])
    raise AddressGone("the street is no more")


@job_handler("letter:lose", schema=Waiting, attempts=3, backoff=fixed(0))
def lose(data: dict[str, Any]) -> None:
    jobs.record(data["ledger"], data["value"])
    raise ConnectionError("on purpose")


@job_handler("letter:hold", schema=Waiting, concurrency=1)
def hold(data: dict[str, Any]) -> None:
    jobs.record_when_released(data["ledger"], data["value"], data["gate"])


@job_handler("letter:count", schema=Waiting)
def count(data: dict[str, Any]) -> None:
    """Tells one report that is written and one that comes too soon, waits, and does so again."""
    progress(1, 3, note="first")
    progress(2, 3)
    jobs.record_when_released(data["ledger"], data["value"], data["gate"])
    progress(2, 3)
    progress(2, 3, note="last")


@job_handler("letter:vital", schema=Waiting, attempts=1, critical=True)
def vital(data: dict[str, Any]) -> None:
    raise ConnectionError("secret-words of a payload")


@job_handler("letter:open", schema=Waiting, attempts=1)
def open_if_there(data: dict[str, Any]) -> None:
    if not Path(data["gate"]).exists():
        raise FileNotFoundError(data["gate"])
    jobs.record(data["ledger"], data["value"])


@job_handler("letter:crash", schema=Waiting, attempts=1)
def crash(data: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job_handler("tidy", queue="low")
def tidy(data: dict[str, Any]) -> dict[str, Any]:
    return data


@job_handler("letter:engrave", requires=("no_such_engraver", "json"), extra="engraving")
def engrave(data: dict[str, Any]) -> None:
    """Needs what nobody has installed."""


@job_handler("letter:ramble", schema=Waiting, attempts=3, backoff=fixed(0))
def ramble(data: dict[str, Any]) -> Any:
    """Returns what is no result."""
    jobs.record(data["ledger"], data["value"])
    return ["words"]
