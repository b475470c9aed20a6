"""Jobs that died: what was to be done, why it failed, and the job itself, lossless."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import signals
from ..conf import settings
from ..failures import CATEGORIES, category_of, fingerprint_of
from ..jobs import JobSnapshot
from ..outcomes import Failure, Reason
from .failed_attempt import FailedAttempt, FailedAttemptQuerySet
from .fallback_job import FallbackJob


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
            "changed_at": timezone.now(),
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
        return (
            self.dead()
            .filter(pk=pk)
            .update(status=Status.REQUEUED, requeued_as=requeued_as, **change.columns())
        )

    def discard(self, change: Change) -> int:
        """Put dead letters away: nobody needs their jobs."""
        return self.dead().update(status=Status.DISCARDED, **change.columns())

    def restore(self, change: Change) -> int:
        """Take discarded letters out again."""
        discarded = self.filter(status=Status.DISCARDED)
        return discarded.update(status=Status.DEAD, **change.columns())

    def recover(self, pks: Collection[int]) -> int:
        """The jobs that took the place of these letters' have finished."""
        found = self.requeued().filter(pk__in=pks)
        recovered = list(found.values_list("pk", flat=True))
        won = found.update(status=Status.RECOVERED, changed_at=timezone.now())
        self.announce(signals.dead_letter_recovered, Q(pk__in=recovered))
        return won

    def announce(self, signal: Signal, which: Q) -> None:
        """Send a signal of each of some letters, as they are then, after the commit."""

        def send() -> None:
            if signal.has_listeners(DeadLetter):
                for letter in DeadLetter.objects.using(self.db).filter(which):
                    signal.send_robust(DeadLetter, dead_letter=letter)

        transaction.on_commit(send, using=self.db, robust=True)

    # ---- the way in ----------------------------------------------------------------------------

    def record(self, letters: list[DeadLetter]) -> None:
        """Insert letters; a death that was recorded before, by whatever path, stays one letter."""
        known = set(
            self.filter(job_id__in=[letter.job_id for letter in letters]).values_list(
                "job_id", "generation"
            )
        )
        new = [letter for letter in letters if (letter.job_id, letter.generation) not in known]
        self._link(new)
        self.bulk_create(new, ignore_conflicts=True)
        keys = [Q(job_id=letter.job_id, generation=letter.generation) for letter in new]
        if keys:
            self.announce(signals.job_dead_lettered, reduce(or_, keys))

    def _link(self, letters: list[DeadLetter]) -> None:
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

    job_id = models.CharField(_("job id"), max_length=255)
    generation = models.CharField(max_length=64, editable=False)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DEAD)
    handler = models.CharField(_("function"), max_length=255, blank=True, default="")
    queue_name = models.CharField(_("queue"), max_length=200, blank=True, default="")
    priority = models.SmallIntegerField(_("priority"), default=5)
    reason = models.CharField(
        _("reason"), max_length=20, choices=[(reason.value, reason.value) for reason in Reason]
    )
    error_class = models.CharField(_("error"), max_length=255, blank=True, default="")
    category = models.CharField(
        _("category"), max_length=10, choices=[(each, each) for each in CATEGORIES], default="other"
    )
    fingerprint = models.CharField(_("fingerprint"), max_length=32, blank=True, default="")
    message = models.TextField(_("message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    worker_name = models.CharField(_("worker"), max_length=200, blank=True, default="")
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
    requeued_as = models.CharField(
        _("requeued as"), max_length=255, null=True, blank=True, default=None, unique=True
    )
    changed_at = models.DateTimeField(_("status changed"), null=True, blank=True)
    changed_by = models.CharField(_("changed by"), max_length=200, blank=True, default="")
    change_reason = models.CharField(_("why"), max_length=500, blank=True, default="")

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
            models.Index(fields=("-died_at",), name="drq_letter_died"),
            models.Index(fields=("fingerprint", "-died_at"), name="drq_letter_print"),
            # What statistics count by, so that they read the index alone.
            models.Index(fields=("status", "handler"), name="drq_letter_handler"),
            models.Index(fields=("status", "category"), name="drq_letter_category"),
            models.Index(fields=("status", "error_class"), name="drq_letter_error"),
        )

    def __str__(self) -> str:
        return f"{self.handler or self.job_id} ({self.reason})"

    @property
    def history(self) -> FailedAttemptQuerySet:
        """The attempts that failed, the last one included."""
        attempts = FailedAttempt.objects.using(self._state.db)
        return attempts.of(self.job_id, self.generation)

    @property
    def snapshot(self) -> JobSnapshot:
        """The job as it died. Raises UndecodableSnapshot when its payload can't be trusted."""
        return JobSnapshot.load(bytes(self.payload))

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
            handler=_handler_of(snapshot),
            queue_name=snapshot.queue_name,
            priority=settings.priority_for(snapshot.queue_name),
            payload=snapshot.dump(),
            enqueued_at=snapshot.time("enqueued_at") or snapshot.time("created_at"),
            attempts=attempts,
            worker_name=worker_name,
            died_at=died_at or timezone.now(),
            requeued_from_id=snapshot.letter,
            **_words(failure, _handler_of(snapshot)),
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


def _handler_of(snapshot: JobSnapshot) -> str:
    return snapshot.description.partition("(")[0][:255]


def _words(failure: Failure, handler: str) -> dict[str, Any]:
    return {
        "reason": failure.reason.value,
        "category": category_of(failure),
        "fingerprint": fingerprint_of(failure, handler),
        **failure.words(),
    }
