"""How long dead letters are kept, and where they go then."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.utils import timezone

from ..conf import settings
from ..models import DeadLetter, FailedAttempt
from ..models.dead_letter import DeadLetterQuerySet, Status
from ..stores.database import DatabaseStore

BATCH = 500


def expire_letters(limit: int = BATCH) -> int:
    """Delete letters that have had their time, archived first where ``ARCHIVE_STORAGE`` is set;
    returns how many. A crash in between archives them again. Raises what the storage raises: then
    nothing is deleted."""
    table = DatabaseStore()
    letters, now = table.letters, timezone.now()
    with table.statement():
        over = list(expired(letters, now).order_by("pk")[:limit])
    if not over:
        return 0
    if settings.ARCHIVE_STORAGE:
        archive(over, settings.ARCHIVE_STORAGE)
    with table.transaction():
        # What was requeued or restored meanwhile stays.
        gone = expired(letters, now).expire([letter.pk for letter in over])
        FailedAttempt.objects.using(table.alias).filter(
            job_id__in=[letter.job_id for letter in gone],
            generation__in=[letter.generation for letter in gone],
        ).delete()
    return len(gone)


def expired(letters: DeadLetterQuerySet, now: datetime) -> DeadLetterQuerySet:
    """Return those that have had their time, which is counted from the last change of status."""
    days = settings.DEAD_LETTER_RETENTION_DAYS
    by_handler = settings.DEAD_LETTER_RETENTION_BY_HANDLER
    over = Q(died_at__lt=now - timedelta(days=days)) & ~Q(handler__in=list(by_handler))
    for handler, own_days in by_handler.items():
        over |= Q(handler=handler, died_at__lt=now - timedelta(days=own_days))
    settled = now - timedelta(days=settings.SETTLED_LETTER_RETENTION_DAYS)
    # A requeued job may be still to run: its letter is to hear of it.
    pending = now - timedelta(days=days)
    return letters.filter(
        (Q(status=Status.DEAD) & over)
        | Q(status__in=(Status.RECOVERED, Status.DISCARDED), changed_at__lt=settled)
        | Q(status=Status.REQUEUED, changed_at__lt=pending)
    )


def archive(letters: Sequence[DeadLetter], storage: str) -> str:
    """Write letters to a storage of ``STORAGES`` as gzipped JSON lines; returns the file's name."""
    lines = "".join(f"{json.dumps(as_json(x), cls=DjangoJSONEncoder)}\n" for x in letters)
    name = f"dead-letters/{timezone.now():%Y/%m/%d}/{letters[0].pk}-{letters[-1].pk}.jsonl.gz"
    return storages[storage].save(name, ContentFile(gzip.compress(lines.encode())))


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return all that is known of a letter, its payload as base64."""
    values = {field.attname: getattr(letter, field.attname) for field in _fields(DeadLetter)}
    del values["mark"]
    values["payload"] = b64encode(bytes(letter.payload)).decode()
    columns = [field.attname for field in _fields(FailedAttempt)]
    values["history"] = list(letter.history.values(*columns))
    values["corrections"] = list(
        letter.corrections.values(
            "made_at", "made_by", "reason", "before", "after", "diff", "shown"
        )
    )
    return values


def _fields(model: type[DeadLetter] | type[FailedAttempt]) -> Sequence[Any]:
    return model._meta.concrete_fields
