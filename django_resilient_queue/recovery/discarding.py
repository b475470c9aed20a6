"""Many dead letters put away at once, or taken out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.db.models import Q
from django.dispatch import Signal

from .. import signals
from ..models import DeadLetter
from ..models.dead_letter import Change, DeadLetterQuerySet, Status
from ..stores.database import DatabaseStore
from .selection import Selection

MOST = 10_000  # letters of one call: it is one transaction, and somebody waits for it
_BATCH = 500


class _Move(NamedTuple):
    """A change of status that many get alike: from which, how, and what is sent of each."""

    was: Status
    move: Callable[[DeadLetterQuerySet, Change], int]
    signal: Signal


_DISCARD = _Move(Status.DEAD, DeadLetterQuerySet.discard, signals.dead_letter_discarded)
_RESTORE = _Move(Status.DISCARDED, DeadLetterQuerySet.restore, signals.dead_letter_restored)


def discard_all(selection: Selection, *, by: object = "", reason: str = "") -> int:
    """Put the dead letters of a selection away; returns how many. Raises ValueError, and changes
    nothing, when there are more than MOST; StoreRefused or StoreAmbiguous as all do."""
    return _move_all(selection, _DISCARD, Change(str(by), reason))


def restore_all(selection: Selection, *, by: object = "", reason: str = "") -> int:
    """Take the discarded letters of a selection out again; as `discard_all`."""
    return _move_all(selection, _RESTORE, Change(str(by), reason))


def discard_together(letters: Sequence[DeadLetter], change: Change) -> set[int]:
    """Put those of some letters away that are dead, in the caller's transaction; returns their
    keys."""
    return _move_together(letters, _DISCARD, change)


def restore_together(letters: Sequence[DeadLetter], change: Change) -> set[int]:
    """Take those of some letters out again that are discarded; as `discard_together`."""
    return _move_together(letters, _RESTORE, change)


def _move_together(letters: Sequence[DeadLetter], how: _Move, change: Change) -> set[int]:
    return _move_some([letter.pk for letter in letters], how, change)


def _move_some(keys: Sequence[int], how: _Move, change: Change) -> set[int]:
    table = DatabaseStore().letters
    some = table.filter(pk__in=keys, status=how.was)
    pks = set(some.select_for_update().order_by("pk").values_list("pk", flat=True))
    if pks:
        how.move(table.filter(pk__in=pks), change)
        table.announce(how.signal, Q(pk__in=pks))
    return pks


def _move_all(selection: Selection, how: _Move, change: Change) -> int:
    table = DatabaseStore()
    with table.transaction():
        letters = DatabaseStore().letters
        meant = selection.among(letters.filter(status=how.was)).order_by("pk")
        pks = list(meant.values_list("pk", flat=True)[: MOST + 1])
        if len(pks) > MOST:
            raise ValueError(f"at most {MOST} letters at once: choose fewer")
        batches = (pks[start : start + _BATCH] for start in range(0, len(pks), _BATCH))
        return sum(len(_move_some(batch, how, change)) for batch in batches)
