"""Letters as a file of JSON lines, as `manage.py dlq export` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse
from django.utils import timezone

from django_resilient_queue.models.dead_letter import DeadLetterQuerySet
from django_resilient_queue.recovery.retention import as_json
from django_resilient_queue.stores.database import DatabaseStore

MOST = 10_000  # letters of one file; a shell has no limit
_BATCH = 20  # letters in memory, with their payloads


def exported(letters: DeadLetterQuerySet) -> tuple[int, StreamingHttpResponse]:
    """Return a file of letters, at most MOST of them, with how many those are. It is read from the
    database while it is sent, and never as a whole."""
    pks = list(letters.values_list("pk", flat=True)[:MOST])
    response = StreamingHttpResponse(
        _lines(pks), content_type="application/x-ndjson; charset=utf-8"
    )
    name = f"dead-letters-{timezone.now():%Y%m%d-%H%M%S}.jsonl"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return len(pks), response


def _lines(pks: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(pks), _BATCH):
        for letter in DatabaseStore().letters.filter(pk__in=pks[start : start + _BATCH]):
            yield f"{json.dumps(as_json(letter), cls=DjangoJSONEncoder)}\n"
