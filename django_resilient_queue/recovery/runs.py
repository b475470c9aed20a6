"""Recovery runs: many dead letters requeued at a chosen pace, by whichever worker is on duty; or so
many discarded or restored that nobody could wait for it.

What is done to letters is in one transaction with what the run notes of it, so a run goes on where
a worker that died had left it, and no letter is requeued twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import (
    LetterNotDead,
    ResilientQueueError,
    RunAlreadyStarted,
    StoreRefused,
    UndecodableSnapshot,
)
from ..models import DeadLetter, RecoveryRun, RunItem
from ..models.dead_letter import Change, Status
from ..models.recovery_run import Deed, Outcome, RecoveryRunQuerySet, RunStatus
from ..stores.base import boottime
from ..stores.database import DatabaseStore
from .counting import count
from .discarding import discard_together, restore_together
from .requeueing import discard, requeue, requeue_together, restore
from .selection import Selection
from .station import Station

BATCH = 50  # letters of one turn: a run is paused between two turns
_LIGHT_BATCH = 500  # of those that only get another status
_MOST_AHEAD = 1000  # changes by clocks that are ahead; many letters may have one in common
FASTEST = 1000.0
MOST_CANARY = 1000  # letters; each turn asks what has become of them
_OPEN = (RunStatus.RUNNING, RunStatus.PAUSED)


class Turn(NamedTuple):
    """When a worker last took a run on, on its clock, and how many letters were handled then. Each
    Redis has a worker that does so: what others have handled since is taken off."""

    at: float
    handled: int


class _Doing(NamedTuple):
    """How a deed is done: to letters of which status, what comes of it, to many and to one."""

    status: Status
    outcome: Outcome
    together: Callable[[Sequence[DeadLetter], Change], set[int]]
    one: Callable[..., object]
    batch: int


_DOINGS: dict[str, _Doing] = {
    Deed.REQUEUE: _Doing(Status.DEAD, Outcome.REQUEUED, requeue_together, requeue, BATCH),
    Deed.DISCARD: _Doing(Status.DEAD, Outcome.DISCARDED, discard_together, discard, _LIGHT_BATCH),
    Deed.RESTORE: _Doing(
        Status.DISCARDED, Outcome.RESTORED, restore_together, restore, _LIGHT_BATCH
    ),
}


def start_run(
    selection: Selection,
    *,
    reason: str = "",
    by: object = "",
    rate: float = 10.0,
    canary: int = 0,
    deed: str = Deed.REQUEUE,
    dry_run: bool = False,
    key: UUID | None = None,
    total: int | None = None,
) -> RecoveryRun:
    """Have workers requeue the dead letters of a selection, those that there are now; or, with
    another *deed*, discard them, or restore those that are discarded.

    *rate* is in letters a second. The first *canary* have to finish before the others follow; when
    one of them dies again the run pauses itself. A *dry_run* is not saved: its ``total`` says how
    many letters there are, about so many where they are more than `counting.MOST`. With a *key* one
    run is started, however often it is asked for. Raises ValueError for a rate, a canary or a deed
    that can't be and for the key of another run, RunAlreadyStarted for a key that another call came
    with, StoreRefused or StoreAmbiguous when the database is away.
    """
    if not 0 < rate <= FASTEST:
        raise ValueError(f"a rate is more than 0 and at most {FASTEST:g} a second, not {rate!r}")
    if deed not in Deed.values:
        raise ValueError(f"a run can {', '.join(Deed.values)}, not {deed!r}")
    if not 0 <= canary <= MOST_CANARY:
        raise ValueError(f"a canary is 0 to {MOST_CANARY} letters, not {canary!r}")
    table = DatabaseStore()
    with table.transaction():
        run = RecoveryRun(
            selection=selection.as_json(),
            reason=reason[:500],
            created_by=str(by)[:200],
            created_at=(now := timezone.now()),
            ahead=_marks_after(now, _DOINGS[deed].status),
            rate=rate,
            canary=canary,
            deed=deed,
            total=count(selection, _DOINGS[deed].status).number if total is None else total,
            key=key,
        )
        if not dry_run:
            _save(run)
    return run


def pause_run(run: RecoveryRun, *, note: str = "") -> bool:
    """Requeue no more letters for now; False when the run is not running."""
    return _change(run, RunStatus.PAUSED, among=[RunStatus.RUNNING], note=note)


def resume_run(run: RecoveryRun) -> bool:
    """Go on, whatever became of the canary; False when the run is not paused."""
    with DatabaseStore().transaction():
        won = _runs().change(run.pk, RunStatus.RUNNING, among=[RunStatus.PAUSED])
        if won:
            _runs().filter(pk=run.pk).update(canary=0)
    run.refresh_from_db(using=DatabaseStore().alias)
    return won


def cancel_run(run: RecoveryRun, *, note: str = "") -> bool:
    """End a run; what it has requeued stays requeued. False when it has ended."""
    return _change(run, RunStatus.CANCELLED, among=_OPEN, note=note)


def drive_runs(station: Station, turns: dict[int, Turn]) -> int:
    """Take each run a few letters on; returns how many letters. *turns* remembers the last turn of
    each. What one of them raises is raised once the others have had their turns."""
    with station.table.statement():
        runs = list(_runs().running().order_by("pk"))
    for pk in set(turns) - {run.pk for run in runs}:
        del turns[pk]
    done, problem = 0, None
    for run in runs:
        try:
            done += _drive(run, turns)
        except (ResilientQueueError, ValueError) as error:
            problem = error
    if problem is not None:
        raise problem
    return done


def _marks_after(now: datetime, status: Status) -> list[int]:
    """Return the marks of letters that have changed or died after this moment, by other clocks."""
    letters = DatabaseStore().letters.filter(status=status).order_by()
    marks: set[int] = set()
    for later in (letters.filter(changed_at__gt=now), letters.filter(died_at__gt=now)):
        marks |= set(later.values_list("mark", flat=True).distinct()[:_MOST_AHEAD])
    return sorted(marks)


def _save(run: RecoveryRun) -> None:
    """Write a new run, unless its key has one: of many who try at once one does it."""
    table = DatabaseStore()
    try:
        with transaction.atomic(using=table.alias):
            run.save(using=table.alias, force_insert=True)
    except IntegrityError:
        other = _runs().filter(key=run.key).first() if run.key else None
        if other is None:
            raise
        if not _is_same(run, other):
            words = _(
                "This page was used for recovery run %(run)d, which is another: open it anew."
            )
            raise ValueError(words % {"run": other.pk}) from None
        raise RunAlreadyStarted(other.pk) from None


def _is_same(run: RecoveryRun, other: RecoveryRun) -> bool:
    """Tell whether both do the same to the same letters."""
    one, another = (Selection.from_json(each.selection) for each in (run, other))
    return run.deed == other.deed and one == another


def _drive(run: RecoveryRun, turns: dict[int, Turn]) -> int:
    now = boottime()
    last = turns.setdefault(run.pk, Turn(now - 1 / run.rate, run.handled))
    by_others = max(run.handled - last.handled, 0)
    allowed = min(int((now - last.at) * run.rate) - by_others, _DOINGS[run.deed].batch)
    if allowed <= 0:
        return 0
    turns[run.pk] = Turn(now, run.handled)
    if run.canary and run.requeued >= run.canary:
        if not _has_passed(run):
            return 0
    elif run.canary:
        allowed = min(allowed, run.canary - run.requeued)
    letters = _next_letters(run, allowed)
    if not letters:
        _change(run, RunStatus.FINISHED, among=[RunStatus.RUNNING])
    elif _handle_all(run, letters):
        turns[run.pk] = Turn(now, run.handled + len(letters))
        return len(letters)
    return 0


def _next_letters(run: RecoveryRun, limit: int) -> list[DeadLetter]:
    """Of those that were there when it started: not what has died, or was restored, since."""
    table = DatabaseStore()
    with table.statement():
        before = Q(changed_at=None) | Q(changed_at__lte=run.created_at)
        before &= Q(died_at__lte=run.created_at)
        if run.ahead:  # whatever has changed since has another mark
            before |= Q(mark__in=run.ahead)
        there = table.letters.filter(before, status=_DOINGS[run.deed].status, pk__gt=run.position)
        found = Selection.from_json(run.selection).among(there).order_by("pk")
        # Only who has a job run again needs to know it.
        unread = ("message", "traceback", *(() if run.deed == Deed.REQUEUE else ("payload",)))
        return list(found.defer(*unread)[:limit])


def _handle_all(run: RecoveryRun, letters: list[DeadLetter]) -> bool:
    """Most in one transaction; what is in the way of the others, each by itself will say. False
    when somebody has paused or cancelled the run since it was read, or has taken it further."""
    done: set[int] = set()
    try:
        with DatabaseStore().transaction():
            if not _runs().hold(run.pk, position=run.position):
                return False
            done = _DOINGS[run.deed].together(letters, Change(*_who_and_why(run)))
            _note_all(run, letters, done)
    except StoreRefused:  # one that can't be takes all of them along
        done = set()
    for letter in letters:
        if letter.pk not in done:
            _handle(run, letter)
    return True


def _note_all(run: RecoveryRun, letters: list[DeadLetter], done: set[int]) -> None:
    items = RunItem.objects.using(DatabaseStore().alias)
    outcome = _DOINGS[run.deed].outcome
    items.bulk_create(RunItem(run=run, letter_id=pk, outcome=outcome) for pk in sorted(done))
    # No further than to the first that is still to be looked at: a crash must not pass it over.
    rest = [letter.pk for letter in letters if letter.pk not in done]
    to = rest[0] - 1 if rest else letters[-1].pk
    _runs().advance(run.pk, to=to, counts={str(outcome): len(done)})


def _who_and_why(run: RecoveryRun) -> tuple[str, str]:
    return f"recovery run {run.pk}", run.reason


def _handle(run: RecoveryRun, letter: DeadLetter) -> None:
    doing = _DOINGS[run.deed]
    outcome, detail = doing.outcome, ""
    try:
        with DatabaseStore().transaction():
            if not _runs().hold(run.pk):
                return
            by, reason = _who_and_why(run)
            doing.one(letter, by=by, reason=reason)
            _note(run, letter, outcome, detail)
        return
    except LetterNotDead as error:
        outcome, detail = Outcome.SKIPPED, error.state
    except (UndecodableSnapshot, ValueError) as error:
        outcome, detail = Outcome.REFUSED, str(error)
    with DatabaseStore().transaction():
        _note(run, letter, outcome, detail)


def _note(run: RecoveryRun, letter: DeadLetter, outcome: Outcome, detail: str) -> None:
    alias = DatabaseStore().alias
    values = {"outcome": outcome, "detail": detail[:200]}
    items = RunItem.objects.using(alias)
    _item, is_new = items.get_or_create(run=run, letter=letter, defaults=values)
    counts = {str(outcome): 1} if is_new else {}  # else another worker was driving as well
    _runs().advance(run.pk, to=letter.pk, counts=counts)


def _has_passed(run: RecoveryRun) -> bool:
    """Tell whether the canary has finished; pause the run when one of it died again."""
    table = DatabaseStore()
    with table.statement():
        items = RunItem.objects.using(table.alias).filter(run=run, outcome=Outcome.REQUEUED)
        first = list(items.order_by("letter_id").values_list("letter_id", flat=True)[: run.canary])
        again = DatabaseStore().letters.filter(requeued_from__in=first).order_by("pk").first()
        pending = (
            DatabaseStore().letters.filter(pk__in=first).exclude(status=Status.RECOVERED).exists()
        )
    if again is not None:
        note = f"the canary: {again.job_id} died again"
        _change(run, RunStatus.PAUSED, among=[RunStatus.RUNNING], note=note)
        return False
    return not pending


def _change(
    run: RecoveryRun,
    to: RunStatus,
    *,
    among: Collection[RunStatus],
    note: str = "",
) -> bool:
    table = DatabaseStore()
    with table.statement():
        won = _runs().change(run.pk, to, among=among, note=note)
        run.refresh_from_db(using=table.alias)
    return won


def _runs() -> RecoveryRunQuerySet:
    return RecoveryRun.objects.using(DatabaseStore().alias)
