"""Finding letters by words: along an index where one helps, else in the newest few.

Arguments are signed bytes that no database can look into, and no index helps to find a part of a
message: looking through all letters for them would take minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Length

from ..models import DeadLetter
from ..models.dead_letter import DeadLetterQuerySet
from .facets import ERROR, Facets

LOOKED_INTO = 500  # letters whose messages and arguments are read, at most
SECONDS = 1.0  # after which no more of them are read: somebody waits for it
AT_ONCE = 4 * 1024 * 1024  # bytes of payloads that are in memory, or one payload
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Found:
    """The letters that fit. *looked_into* says of how many, the newest, the messages and arguments
    were read; it is 0 when something was found by an id or a name, which is true of all letters."""

    letters: DeadLetterQuerySet
    looked_into: int = 0


def search(
    letters: DeadLetterQuerySet,
    words: str,
    facets: Facets,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Look among *letters*, which are in the order of a list, for a job id (whole), a fingerprint,
    a part of the name of a function or an error; and when there is none, for a part of a message or
    of the arguments as people may see them, so that nobody can guess at what is masked."""
    words = words.strip()
    found = letters.filter(Q(job_id=words) | Q(requeued_as=words) | Q(fingerprint=words))
    if found.order_by().exists():
        return Found(found)
    if named := _named(words, facets):
        found = letters.filter(named)
        if found.order_by().exists():
            return Found(found)
    pks, looked_into, until = [], 0, clock() + SECONDS
    for letter in _newest(letters):
        looked_into += 1
        if _holds(letter, words.casefold()):
            pks.append(letter.pk)
        if clock() > until:
            break
    return Found(letters.filter(pk__in=pks), looked_into)


def _newest(letters: DeadLetterQuerySet) -> Iterator[DeadLetter]:
    """Return the first letters of a list one after the other, few of them in memory."""
    sized = letters.annotate(size=Length("payload")).values_list("pk", "size")
    for pks in _batches(sized[:LOOKED_INTO]):
        some = letters.model.objects.using(letters.db).only("handler", "message", "payload")
        read = some.in_bulk(pks)
        yield from (read[pk] for pk in pks if pk in read)


def _batches(sized: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Cut keys, each with the length of its payload, into lists that may be read at once."""
    batch, total = list[int](), 0
    for pk, size in sized:
        if batch and (total + size > AT_ONCE or len(batch) == _BATCH):
            yield batch
            batch, total = [], 0
        batch.append(pk)
        total += size
    if batch:
        yield batch


def _named(words: str, facets: Facets) -> Q:
    condition = Q()
    for name in ("handler", ERROR):
        if values := facets.like(name, words):
            condition |= Q(**{f"{name}__in": values})
    return condition


def _holds(letter: DeadLetter, words: str) -> bool:
    if words in letter.message.casefold():
        return True
    shown = letter.readable
    text = json.dumps([shown["args"], shown["kwargs"], shown["meta"]], ensure_ascii=False)
    return words in text.casefold()
