"""Jobs that died: what was to be done, why it failed, and the job itself, lossless."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, connections, models, transaction
from django.db.models import Case, Q, Value, When
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import signals
from ..conf import settings
from ..exceptions import UndecodableSnapshot
from ..failures import category_of, fingerprint_of
from ..jobs import JobSnapshot
from ..outcomes import Failure
from .called import Called
from .failed_attempt import FailedAttempt, FailedAttemptQuerySet
from .fallback_job import FallbackJob
from .letter_tally import LetterTally, LetterTallyQuerySet
from .names import NameField
from .wording import CATEGORIES, REASONS

_LARGE = ("payload", "message", "traceback")  # columns


class Status(models.TextChoices):
    """What became of the letter."""

    DEAD = "dead", _("dead")
    REQUEUED = "requeued", _("requeued")
    RECOVERED = "recovered", _("recovered")
    DISCARDED = "discarded", _("discarded")


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a letter's status, and why."""

    by: str = ""
    reason: str = ""

    def columns(self) -> dict[str, Any]:
        """The columns that say so."""
        return {
            "changed_by": self.by[:200],
            "change_reason": self.reason[:500],
        }


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """Questions, guarded transitions, and the one way in."""

    def dead(self) -> DeadLetterQuerySet:
        """Those that wait for somebody."""
        return self.filter(status=Status.DEAD)

    def requeued(self) -> DeadLetterQuerySet:
        """Those whose job waits or runs again, under another id."""
        return self.filter(status=Status.REQUEUED)

    # ---- transitions: each says how many letters it won ------------------------------------------

    def requeue(self, pk: int, change: Change, *, requeued_as: str) -> int:
        """Mark one letter that nobody has dealt with yet."""
        columns = {"requeued_as": requeued_as, **change.columns()}
        return self.filter(pk=pk)._move(Status.DEAD, Status.REQUEUED, columns)

    def requeue_all(self, names: Mapping[int, str], change: Change) -> set[int]:
        """Mark those of some letters, keys with what each is requeued as, that nobody has dealt
        with and nobody has in hand; returns their keys. Only inside ``atomic()``."""
        can_skip = connections[self.db].features.has_select_for_update_skip_locked
        # Whoever waits for no letter is in no deadlock with those who change many, in any order.
        free = self.dead().filter(pk__in=names).select_for_update(skip_locked=can_skip)
        mine = sorted(free.order_by().values_list("pk", flat=True))
        if not mine:
            return set()
        requeued_as = Case(*(When(pk=pk, then=Value(names[pk])) for pk in mine))
        columns = {"requeued_as": requeued_as, **change.columns()}
        if self.filter(pk__in=mine)._move(Status.DEAD, Status.REQUEUED, columns) != len(mine):
            raise IntegrityError("another has dealt with some of these letters")
        return set(mine)

    def discard(self, change: Change) -> int:
        """Put dead letters away: nobody needs their jobs."""
        return self._move(Status.DEAD, Status.DISCARDED, change.columns())

    def restore(self, change: Change) -> int:
        """Take discarded letters out again."""
        return self._move(Status.DISCARDED, Status.DEAD, change.columns())

    def recover(self, pks: Collection[int]) -> int:
        """The jobs that took the place of these letters' have finished."""
        found = self.requeued().filter(pk__in=pks)
        recovered = list(found.values_list("pk", flat=True))
        won = found._move(Status.REQUEUED, Status.RECOVERED, {}) if recovered else 0
        self.announce(signals.dead_letter_recovered, Q(pk__in=recovered))
        return won

    def _move(self, was: Status, to: Status, columns: dict[str, Any]) -> int:
        """Change the status where it is *was*, and the tally with it."""
        now = timezone.now()
        mark = {"changed_at": now, "mark": new_mark()}
        with transaction.atomic(self.db, savepoint=False):
            won = self.filter(status=was).update(status=to, **columns, **mark)
            if won:
                moved = DeadLetter.objects.using(self.db).filter(status=to, **mark)
                self._tally.move(moved, now, was=was, count=won)
        return won

    def announce(self, signal: Signal, which: Q) -> None:
        """Send a signal of each of some letters, as they are then, after the commit."""

        def send() -> None:
            if signal.has_listeners(DeadLetter):
                for letter in DeadLetter.objects.using(self.db).filter(which):
                    signal.send_robust(DeadLetter, dead_letter=letter)

        transaction.on_commit(send, using=self.db, robust=True)

    # ---- the way in ----------------------------------------------------------------------------

    def record(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Insert letters; a death that was recorded before, by whatever path, stays one letter.
        Returns those that are new."""
        if not letters:
            return []
        mark = new_mark()
        for letter in letters:
            letter.mark = mark
        with transaction.atomic(self.db, savepoint=False):
            self._link(letters)
            self.bulk_create(letters, ignore_conflicts=True)
            ids = [letter.job_id for letter in letters]
            inserted = self.filter(job_id__in=ids, mark=mark)
            new = set(inserted.values_list("job_id", "generation"))
            mine = [letter for letter in letters if (letter.job_id, letter.generation) in new]
            self._tally.add(mine, timezone.now())
        keys = [Q(job_id=letter.job_id, generation=letter.generation) for letter in mine]
        if keys:
            self.announce(signals.job_dead_lettered, reduce(or_, keys))
        return mine

    def expire(self, pks: Collection[int]) -> list[DeadLetter]:
        """Delete those of some letters that still fit; returns them, without the large columns."""
        with transaction.atomic(self.db, savepoint=False):
            # What another has in hand is changing: it stays until the next time.
            can_skip = connections[self.db].features.has_select_for_update_skip_locked
            free = self.filter(pk__in=pks).select_for_update(skip_locked=can_skip)
            gone = list(free.defer(*_LARGE))
            self.filter(pk__in=[letter.pk for letter in gone]).delete()
            self._tally.add(gone, timezone.now(), count=-1)
        return gone

    @property
    def _tally(self) -> LetterTallyQuerySet:
        return LetterTally.objects.using(self.db)

    def _link(self, letters: Sequence[DeadLetter]) -> None:
        """Keep only links to letters that are still there: they may have been pruned."""
        named = {pk for letter in letters if (pk := letter.requeued_from_id) is not None}
        there = dict(self.filter(pk__in=named).values_list("pk", "requeues")) if named else {}
        for letter in letters:
            if letter.requeued_from_id not in there:
                letter.requeued_from_id = None
            else:
                letter.requeues = there[letter.requeued_from_id] + 1


class DeadLetter(models.Model):
    """One death of one generation of a job id."""

    job_id = NameField(_("job id"), max_length=255)
    generation = models.CharField(max_length=64, editable=False)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DEAD)
    handler = NameField(_("function"), max_length=255, blank=True, default="")
    queue_name = NameField(_("queue"), max_length=200, blank=True, default="")
    priority = models.SmallIntegerField(_("priority"), default=5)
    reason = models.CharField(_("reason"), max_length=20, choices=REASONS)
    error_class = NameField(_("error"), max_length=255, blank=True, default="")
    category = models.CharField(_("category"), max_length=10, choices=CATEGORIES, default="other")
    fingerprint = models.CharField(_("fingerprint"), max_length=32, blank=True, default="")
    message = models.TextField(_("message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    worker_name = NameField(_("worker"), max_length=200, blank=True, default="")
    payload = models.BinaryField(editable=False)
    enqueued_at = models.DateTimeField(_("enqueued"), null=True, blank=True)
    died_at = models.DateTimeField(_("died"))
    requeued_from = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requeued from"),
    )
    requeues = models.PositiveIntegerField(_("requeues before"), default=0)
    requeued_as = NameField(
        _("requeued as"), max_length=255, null=True, blank=True, default=None, unique=True
    )
    changed_at = models.DateTimeField(_("status changed"), null=True, blank=True)
    changed_by = models.CharField(_("changed by"), max_length=200, blank=True, default="")
    change_reason = models.CharField(_("why"), max_length=500, blank=True, default="")
    # Drawn for each INSERT and UPDATE: by it a statement finds the rows that it has won.
    mark = models.BigIntegerField(default=0, editable=False)

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ("-died_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("job_id", "generation"), name="drq_letter_once"),
        )
        indexes = (
            models.Index(fields=("status", "-died_at"), name="drq_letter_status"),
            models.Index(fields=("status", "changed_at"), name="drq_letter_changed"),
            models.Index(fields=("-died_at",), name="drq_letter_died"),
            # What lists are narrowed by, in the order of lists.
            models.Index(fields=("fingerprint", "status", "-died_at"), name="drq_letter_print"),
            models.Index(fields=("status", "handler", "-died_at"), name="drq_letter_handler"),
            models.Index(fields=("status", "category", "-died_at"), name="drq_letter_category"),
            models.Index(fields=("status", "error_class", "-died_at"), name="drq_letter_error"),
            models.Index(fields=("status", "queue_name", "-died_at"), name="drq_letter_queue"),
            models.Index(fields=("status", "reason", "-died_at"), name="drq_letter_reason"),
            # What they are narrowed by together. Without a moment in it PostgreSQL keeps each
            # combination once, with all its rows: the whole index is read in a few milliseconds.
            models.Index(
                fields=("status", "category", "queue_name", "reason", "handler", "error_class"),
                name="drq_letter_kinds",
            ),
        )
        permissions = (
            ("view_sensitive_payload", _("Can see what is masked in payloads")),
            ("requeue_deadletter", _("Can requeue dead letters")),
            ("correct_deadletter", _("Can correct the arguments of dead letters")),
            ("discard_deadletter", _("Can discard and restore dead letters")),
        )

    def __str__(self) -> str:
        return f"{self.handler} {self.job_id}".strip()

    @property
    def history(self) -> FailedAttemptQuerySet:
        """The attempts that failed, the last one included."""
        attempts = FailedAttempt.objects.using(self._state.db)
        return attempts.of(self.job_id, self.generation)

    @property
    def snapshot(self) -> JobSnapshot:
        """The job as it died. Raises UndecodableSnapshot when its payload can't be trusted."""
        return JobSnapshot.load(bytes(self.payload))

    @property
    def about(self) -> dict[str, Any]:
        """What a log line says of the job."""
        try:
            return self.snapshot.about(self.attempts)
        except UndecodableSnapshot:
            return {"job_id": self.job_id, "queue": self.queue_name, "attempts": self.attempts}

    @property
    def called(self) -> Called:
        """The job's call and its meta; read anew at each look."""
        return Called.of(bytes(self.payload))

    @property
    def readable(self) -> dict[str, Any]:
        """The job as people may see it: `revealed`, with secrets masked that ``REDACT_KEYS`` or its
        handler names. Of a handler that is not registered everything is masked."""
        return self.called.masked()

    @property
    def revealed(self) -> dict[str, Any]:
        """The job in JSON values, cut short where it is long: ``args`` (list), ``kwargs`` and
        ``meta`` (dicts), and ``problems`` (texts), which say what of it can't be read."""
        return self.called.revealed()

    @property
    def redact_keys(self) -> Sequence[str]:
        """What is masked of the job, and of its corrections: values under names that contain one of
        these."""
        return self.called.keys

    @classmethod
    def of(
        cls,
        snapshot: JobSnapshot,
        failure: Failure,
        *,
        attempts: int,
        worker_name: str = "",
        died_at: datetime | None = None,
    ) -> DeadLetter:
        """Make the letter of a job, not yet saved."""
        return cls(
            job_id=snapshot.job_id,
            generation=snapshot.generation,
            handler=snapshot.job_type,
            queue_name=snapshot.queue_name,
            priority=settings.priority_for(snapshot.queue_name),
            payload=snapshot.dump(),
            enqueued_at=snapshot.time("enqueued_at") or snapshot.time("created_at"),
            attempts=attempts,
            worker_name=worker_name,
            died_at=died_at or timezone.now(),
            requeued_from_id=snapshot.letter,
            **_words(failure, snapshot.job_type),
        )

    @classmethod
    def of_row(cls, row: FallbackJob, failure: Failure) -> DeadLetter:
        """Make the letter of a row that can't be executed; its bytes are kept as found."""
        return cls(
            job_id=row.job_id,
            generation=row.generation,
            queue_name=row.queue_name,
            priority=row.priority,
            attempts=row.attempt,
            payload=bytes(row.payload),
            enqueued_at=row.created_at,
            died_at=timezone.now(),
            **_words(failure, ""),
        )


def new_mark() -> int:
    """Draw what no other statement has drawn."""
    return secrets.randbits(63)


def _words(failure: Failure, handler: str) -> dict[str, Any]:
    return {
        "reason": failure.reason.value,
        "category": category_of(failure),
        "fingerprint": fingerprint_of(failure, handler),
        **failure.words(),
    }
