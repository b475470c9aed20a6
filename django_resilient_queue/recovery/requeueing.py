"""What an operator does with dead letters: have the job run again, put it away, take it out again.

Each is a guarded UPDATE, so that of many who do it at the same time one does. A requeued job is a
row that Redis has no copy of: workers execute or drain it like any other, Redis being there or not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone
from rq.job import JobStatus

from .. import signals
from ..exceptions import LetterNotDead, StoreRefused, UndecodableSnapshot
from ..jobs import LETTER, JobSnapshot, new_generation, timestamp
from ..models import Correction, DeadLetter
from ..models.dead_letter import Change
from ..models.fallback_job import State
from ..stores.brokers import require_queue
from ..stores.database import DatabaseStore
from ..stores.rows import Entry
from .correcting import correct

# What a job's hash says of the attempts that failed.
_OF_THE_PAST = frozenset(
    (
        "dependency_id",
        "dependency_ids",
        "ended_at",
        "exc_info",
        "last_heartbeat",
        "number_of_retries",
        "started_at",
        "worker_name",
    )
)
_TRIES = 20  # numbers that are tried one after the other, and as many that are drawn
_DRAWN = 10**9  # from this number on


def requeue(
    letter: DeadLetter,
    *,
    by: object = "",
    reason: str = "",
    kwargs: Mapping[str, Any] | None = None,
    written: Mapping[str, Any] | None = None,
    keep_attempts: bool = False,
    queue_name: str | None = None,
) -> str:
    """Have a letter's job run again; returns the new job's id, ``<job id>-r<n>``.

    *kwargs* replaces its keyword arguments, when they and what it had are JSON values; *written* is
    the same with masks for secrets that were kept, from somebody who may not see any: then nothing
    that is told of it says whether another secret is what it was.
    *keep_attempts* leaves it only the retries that it had left. Inside ``atomic()`` it takes effect
    with the commit. Raises LetterNotDead when somebody dealt with the letter before, ValueError for
    arguments or a queue that can't be, InvalidPayload and UnknownHandler for a correction that the
    handler refuses or that has none, UndecodableSnapshot for a payload that can't be trusted, and
    StoreRefused or StoreAmbiguous when the database is away.
    """
    name = queue_name or letter.queue_name
    require_queue(name)
    change = Change(str(by), reason)
    snapshot, correction = letter.snapshot, None
    if kwargs is not None:
        snapshot, correction = correct(letter, kwargs, change, written=written)
    for job_id in _free_names(letter):
        job = _alive(letter, snapshot, job_id, name, keep_attempts=keep_attempts)
        if _store(letter, job, correction, change, keep_attempts=keep_attempts):
            return job_id
    raise LetterNotDead(letter.pk, "its new job finds no id that is free")


def requeue_together(letters: Sequence[DeadLetter], change: Change) -> set[int]:
    """Requeue those of some letters that nothing stands in the way of, in the caller's transaction;
    returns their keys. Why not the others, `requeue` says. An id that has a row is refused with
    IntegrityError, whichever letter's it is."""
    table = DatabaseStore()
    jobs = dict(_ready_jobs(letters))
    taken, names = _taken([job.job_id for job in jobs.values()]), dict[int, str]()
    for pk, job in jobs.items():
        # Of letters of one job id the first gets the name.
        if job.job_id not in taken:
            names[pk] = job.job_id
            taken.add(job.job_id)
    won = table.letters.requeue_all(names, change) if names else set()
    table.rows.bulk_create([Entry(jobs[pk], State.READY).row() for pk in sorted(won)])
    if won:
        table.letters.announce(signals.dead_letter_requeued, Q(pk__in=won))
    return won


def discard(letter: DeadLetter, *, by: object = "", reason: str = "") -> None:
    """Put a dead letter away. Raises LetterNotDead when somebody dealt with it before."""
    with DatabaseStore().transaction():
        won = DatabaseStore().letters.filter(pk=letter.pk).discard(Change(str(by), reason))
        _require(letter, won)
        _announce(signals.dead_letter_discarded, letter)


def restore(letter: DeadLetter, *, by: object = "", reason: str = "") -> None:
    """Take a discarded letter out again. Raises LetterNotDead when it is not discarded."""
    with DatabaseStore().transaction():
        won = DatabaseStore().letters.filter(pk=letter.pk).restore(Change(str(by), reason))
        _require(letter, won)
        _announce(signals.dead_letter_restored, letter)


def _store(
    letter: DeadLetter,
    job: JobSnapshot,
    correction: Correction | None,
    change: Change,
    *,
    keep_attempts: bool,
) -> bool:
    """Write letter and row in one transaction; False when the id is taken."""
    table = DatabaseStore()
    entry = Entry(job, State.READY, attempt=letter.attempts if keep_attempts else 0)
    try:
        with table.transaction():
            won = DatabaseStore().letters.requeue(letter.pk, change, requeued_as=job.job_id)
            _require(letter, won)
            entry.row().save(force_insert=True, using=table.alias)
            if correction is not None:
                correction.pk = None
                correction.save(force_insert=True, using=table.alias)
            _announce(signals.dead_letter_requeued, letter)
    except StoreRefused as error:
        if isinstance(error.cause, IntegrityError):
            return False
        raise
    return True


def _ready_jobs(letters: Sequence[DeadLetter]) -> Iterator[tuple[int, JobSnapshot]]:
    """The new jobs of letters that have one, by the letters' keys."""
    for letter in letters:
        with suppress(UndecodableSnapshot, ValueError):
            require_queue(letter.queue_name)
            job_id, name = next(_names(letter)), letter.queue_name
            yield letter.pk, _alive(letter, letter.snapshot, job_id, name, keep_attempts=False)


def _names(letter: DeadLetter) -> Iterator[str]:
    """The id of the next requeue first, then others, in case another job has it: a job that is
    always enqueued under one id may have died of it any number of times."""
    number, base = letter.requeues, letter.job_id
    if number:
        base = base.removesuffix(f"-r{base.rpartition('-r')[2]}")
    counted = range(number + 1, number + 1 + _TRIES)
    drawn = (_DRAWN + secrets.randbelow(_DRAWN) for _ in range(_TRIES))
    return (f"{base[:240]}-r{n}" for n in chain(counted, drawn))


def _free_names(letter: DeadLetter) -> Iterator[str]:
    names = list(_names(letter))
    with DatabaseStore().statement():
        taken = _taken(names)
    return (name for name in names if name not in taken)


def _taken(names: Sequence[str]) -> set[str]:
    """Those of some ids that a job has, had when it died, or will have."""
    table = DatabaseStore()
    died = table.letters.filter(job_id__in=names).values_list("job_id", flat=True)
    promised = table.letters.filter(requeued_as__in=names).values_list("requeued_as", flat=True)
    alive = table.rows.filter(job_id__in=names).values_list("job_id", flat=True)
    return {name for found in (died, promised, alive) for name in found if name}


def _alive(
    letter: DeadLetter, snapshot: JobSnapshot, job_id: str, queue_name: str, *, keep_attempts: bool
) -> JobSnapshot:
    """The job as if nothing had happened to it yet."""
    now = timestamp(timezone.now())
    fields = {name: value for name, value in snapshot.fields.items() if name not in _OF_THE_PAST}
    fields |= {
        "origin": queue_name.encode(),
        "status": str.encode(JobStatus.QUEUED),
        "enqueued_at": now,
        LETTER: str(letter.pk).encode(),
    }
    left = snapshot.number("retries_left")
    if left is not None and not keep_attempts:
        fields["retries_left"] = str(left + max(letter.attempts - 1, 0)).encode()
    return JobSnapshot(job_id, queue_name, new_generation(), fields)


def _require(letter: DeadLetter, won: int) -> None:
    if not won:
        found = (
            DatabaseStore().letters.filter(pk=letter.pk).values_list("status", "changed_by").first()
        )
        raise LetterNotDead(letter.pk, _said(found))


def _said(found: tuple[str, str] | None) -> str:
    if found is None:
        return "it is gone"
    status, changed_by = found
    return f"it is {status}" + (f", by {changed_by}" if changed_by else "")


def _announce(signal: Signal, letter: DeadLetter) -> None:
    letter.refresh_from_db(using=DatabaseStore().alias)
    DatabaseStore().letters.announce(signal, Q(pk=letter.pk))
