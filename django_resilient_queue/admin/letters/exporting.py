"""Letters as a file of JSON lines, as `manage.py dlq export` writes it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from django_resilient_queue.models.dead_letter import DeadLetterQuerySet
from django_resilient_queue.recovery.retention import as_json
from django_resilient_queue.stores.database import DatabaseStore

MOST = 10_000  # letters of one file; a shell has no limit
BATCH = 20  # letters in memory, with their payloads


def exported(
    request: HttpRequest, letters: DeadLetterQuerySet
) -> tuple[int, StreamingHttpResponse]:
    """Return a file of letters, at most MOST of them, with how many those are. It is read from the
    database while it is sent, and never as a whole."""
    pks = list(letters.values_list("pk", flat=True)[:MOST])
    # What is iterated in the other way Django collects first, all of it.
    lines = _lines_later(pks) if isinstance(request, ASGIRequest) else _lines(pks)
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson; charset=utf-8")
    name = f"dead-letters-{timezone.now():%Y%m%d-%H%M%S}.jsonl"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return len(pks), response


def _lines(pks: Sequence[int]) -> Iterator[str]:
    for some in _batches(pks):
        yield from _lines_of(some)


async def _lines_later(pks: Sequence[int]) -> AsyncIterator[str]:
    for some in _batches(pks):
        # In the thread of the request, where its end closes the connection to the database, also
        # when the browser goes away before.
        for line in await sync_to_async(_lines_of, thread_sensitive=True)(some):
            yield line


def _batches(pks: Sequence[int]) -> Iterator[Sequence[int]]:
    return (pks[start : start + BATCH] for start in range(0, len(pks), BATCH))


def _lines_of(pks: Sequence[int]) -> list[str]:
    letters = DatabaseStore().letters.filter(pk__in=pks)
    return [f"{json.dumps(as_json(each), cls=DjangoJSONEncoder)}\n" for each in letters]
