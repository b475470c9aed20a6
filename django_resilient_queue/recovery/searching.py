"""Finding letters by words: along an index where one helps, else in the newest few.

Arguments are signed bytes that no database can look into, and no index helps to find a part of a
message: looking through all letters for them would take minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db.models import Q

from ..models import DeadLetter
from ..models.dead_letter import DeadLetterQuerySet
from .facets import ERROR, Facets

LOOKED_INTO = 500  # letters whose messages and arguments are read


@dataclass(frozen=True, slots=True)
class Found:
    """The letters that fit. *looked_into* says of how many, the newest, the messages and arguments
    were read; it is 0 when something was found by an id or a name, which is true of all letters."""

    letters: DeadLetterQuerySet
    looked_into: int = 0


def search(letters: DeadLetterQuerySet, words: str, facets: Facets) -> Found:
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
    newest = list(letters.only("handler", "message", "payload")[:LOOKED_INTO])
    pks = [letter.pk for letter in newest if _holds(letter, words.casefold())]
    return Found(letters.filter(pk__in=pks), len(newest))


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
