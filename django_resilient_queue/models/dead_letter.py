"""Jobs that died: what was to be done, why it failed, and the job itself, lossless."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import signals
from ..conf import settings
from ..jobs import JobSnapshot
from ..outcomes import Failure, Reason
from .fallback_job import FallbackJob


class Status(models.TextChoices):
    """What became of the letter."""

    DEAD = "dead", _("dead")
    REQUEUED = "requeued", _("requeued")
    RECOVERED = "recovered", _("recovered")
    DISCARDED = "discarded", _("discarded")


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """Questions, and the one way in."""

    def dead(self) -> DeadLetterQuerySet:
        """Those that wait for somebody."""
        return self.filter(status=Status.DEAD)

    def record(self, letters: list[DeadLetter]) -> None:
        """Insert letters; a death that was recorded before, by whatever path, stays one letter."""
        known = set(
            self.filter(job_id__in=[letter.job_id for letter in letters]).values_list(
                "job_id", "generation"
            )
        )
        new = [letter for letter in letters if (letter.job_id, letter.generation) not in known]
        self.bulk_create(new, ignore_conflicts=True)
        transaction.on_commit(partial(_announce, new), using=self.db, robust=True)


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
    message = models.TextField(_("message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    worker_name = models.CharField(_("worker"), max_length=200, blank=True, default="")
    payload = models.BinaryField(editable=False)
    enqueued_at = models.DateTimeField(_("enqueued"), null=True, blank=True)
    died_at = models.DateTimeField(_("died"))

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
        )

    def __str__(self) -> str:
        return f"{self.handler or self.job_id} ({self.reason})"

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
            handler=snapshot.description.partition("(")[0][:255],
            queue_name=snapshot.queue_name,
            priority=settings.priority_for(snapshot.queue_name),
            payload=snapshot.dump(),
            enqueued_at=snapshot.time("enqueued_at") or snapshot.time("created_at"),
            attempts=attempts,
            worker_name=worker_name,
            died_at=died_at or timezone.now(),
            **_words(failure),
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
            **_words(failure),
        )


def _words(failure: Failure) -> dict[str, Any]:
    # PostgreSQL's text holds no NUL character.
    return {
        "reason": failure.reason.value,
        "error_class": failure.error_class.replace("\0", "")[:255],
        "message": failure.message.replace("\0", "�"),
        "traceback": failure.traceback.replace("\0", "�"),
    }


def _announce(letters: list[DeadLetter]) -> None:
    for letter in letters:
        signals.job_dead_lettered.send_robust(DeadLetter, dead_letter=letter)
