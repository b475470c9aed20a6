"""Dead letters as lines of JSON: for the log where no store takes them, and read in again."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder

from ..models import DeadLetter, FailedAttempt
from ..outcomes import Settlement
from ..stores.base import Claim
from ..stores.database import DatabaseStore
from ..stores.rows import attempt_of, letter_of

EVENT = "dead letter not stored"
# Said by a database as it stores a letter, or of another database's letters.
_OF_THE_TABLE = frozenset(("id", "requeued_from_id"))


@dataclass(frozen=True, slots=True)
class Imported:
    """How many letters were stored, were there before, or are of jobs that are still to run."""

    stored: int = 0
    known: int = 0
    alive: int = 0


def transcript(claim: Claim, end: Settlement) -> str:
    """Return the letter of a death as one line of JSON: every column, the job itself as sealed
    base64, what can be shown of its call with secrets masked, and the attempt that it died of."""
    letter = letter_of(claim, end)
    values = _columns(letter)
    values["requeued_from_id"] = letter.requeued_from_id
    values["payload"] = b64encode(bytes(letter.payload)).decode()
    history = [_columns(attempt_of(claim, end))]
    words = {"event": EVENT, **values, **_call(letter), "history": history}
    return json.dumps(words, cls=DjangoJSONEncoder)


def import_letters(lines: Iterable[str]) -> Imported:
    """Store the letters that a log or an export holds; lines without one are passed over.

    A job that has a row is still to run, and so not dead. Raises ValueError for a letter that can't
    be read; the letters before it are stored.
    """
    counts = {"stored": 0, "known": 0, "alive": 0}
    for number, data in _objects(lines):
        try:
            letter, attempts = _letter(data), [_attempt(each) for each in data.get("history", [])]
        except (ValidationError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} holds no dead letter: {_said(error)}") from error
        counts[_store(letter, attempts)] += 1
    return Imported(**counts)


def _columns(thing: DeadLetter | FailedAttempt) -> dict[str, Any]:
    names = [field.attname for field in thing._meta.concrete_fields]
    return {name: getattr(thing, name) for name in names if name not in _OF_THE_TABLE}


# ---- what can be shown of a call ---------------------------------------------------------------


def _call(letter: DeadLetter) -> dict[str, Any]:
    """The arguments as people may see them, and what of them can't be read."""
    shown = letter.readable
    return {name: shown[name] for name in ("args", "kwargs", "problems")}


# ---- the way back ------------------------------------------------------------------------------


def _objects(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON object that ends a line, whatever the log's format has put before it."""
    for number, line in enumerate(lines, start=1):
        start = line.find("{")
        try:
            data = json.loads(line[start:]) if start >= 0 else None
        except ValueError:
            continue
        if isinstance(data, dict) and "payload" in data:
            yield number, data


def _letter(data: dict[str, Any]) -> DeadLetter:
    names = {field.attname for field in DeadLetter._meta.concrete_fields} - _OF_THE_TABLE
    letter = DeadLetter(**{name: value for name, value in data.items() if name in names})
    letter.clean_fields(exclude=["requeued_from"])
    letter.payload = bytes(letter.payload)
    letter.requeued_from_id = data.get("requeued_from_id")
    return letter


def _attempt(data: dict[str, Any]) -> FailedAttempt:
    names = {field.attname for field in FailedAttempt._meta.concrete_fields} - _OF_THE_TABLE
    attempt = FailedAttempt(**{name: value for name, value in data.items() if name in names})
    attempt.clean_fields()
    return attempt


def _store(letter: DeadLetter, attempts: list[FailedAttempt]) -> str:
    """Store one letter; says which of the counts it belongs to."""
    table = DatabaseStore()
    same = {"job_id": letter.job_id, "generation": letter.generation}
    with table.transaction():
        if table.letters.filter(**same).exists():
            return "known"
        if table.rows.filter(**same).exists():
            return "alive"
        table.letters.record([letter])
        FailedAttempt.objects.using(table.alias).record(attempts)
    return "stored"


def _said(error: Exception) -> str:
    return "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)
