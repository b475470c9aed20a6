"""Many dead letters put away at once, or taken out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db.models import Q
from django.dispatch import Signal

from .. import signals
from ..models import DeadLetter
from ..models.dead_letter import Change, DeadLetterQuerySet, Status
from ..stores.database import DatabaseStore
from .selection import Selection

MOST = 10_000  # letters of one call: it is one transaction, and somebody waits for it
_BATCH = 500


def discard_all(selection: Selection, *, by: object = "", reason: str = "") -> int:
    """Put the dead letters of a selection away; returns how many. Raises ValueError, and changes
    nothing, when there are more than MOST; StoreRefused or StoreAmbiguous as all do."""
    change = Change(str(by), reason)
    return _move_all(
        selection, Status.DEAD, lambda some: some.discard(change), signals.dead_letter_discarded
    )


def restore_all(selection: Selection, *, by: object = "", reason: str = "") -> int:
    """Take the discarded letters of a selection out again; as `discard_all`."""
    change = Change(str(by), reason)
    return _move_all(
        selection, Status.DISCARDED, lambda some: some.restore(change), signals.dead_letter_restored
    )


def discard_together(letters: Sequence[DeadLetter], change: Change) -> set[int]:
    """Put those of some letters away that are dead, in the caller's transaction; returns their
    keys."""
    return _move_together(
        letters, Status.DEAD, lambda some: some.discard(change), signals.dead_letter_discarded
    )


def restore_together(letters: Sequence[DeadLetter], change: Change) -> set[int]:
    """Take those of some letters out again that are discarded; as `discard_together`."""
    return _move_together(
        letters, Status.DISCARDED, lambda some: some.restore(change), signals.dead_letter_restored
    )


def _move_together(
    letters: Sequence[DeadLetter],
    was: Status,
    move: Callable[[DeadLetterQuerySet], int],
    signal: Signal,
) -> set[int]:
    table = DatabaseStore().letters
    some = table.filter(pk__in=[letter.pk for letter in letters], status=was)
    pks = set(some.select_for_update().order_by("pk").values_list("pk", flat=True))
    if pks:
        move(table.filter(pk__in=pks))
        table.announce(signal, Q(pk__in=pks))
    return pks


def _move_all(
    selection: Selection, was: Status, move: Callable[[DeadLetterQuerySet], int], signal: Signal
) -> int:
    table = DatabaseStore()
    with table.transaction():
        letters = DatabaseStore().letters
        meant = selection.among(letters.filter(status=was)).order_by("pk")
        pks = list(meant.values_list("pk", flat=True)[: MOST + 1])
        if len(pks) > MOST:
            raise ValueError(f"at most {MOST} letters at once: choose fewer")
        moved = 0
        for start in range(0, len(pks), _BATCH):
            some = pks[start : start + _BATCH]
            moved += move(letters.filter(pk__in=some))
            letters.announce(signal, Q(pk__in=some) & ~Q(status=was))
    return moved
