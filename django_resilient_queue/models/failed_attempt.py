"""What went wrong each time: the history of a job that was tried more than once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..jobs import JobSnapshot
from ..outcomes import Failure
from .names import NameField

KEPT_OF_EACH_END = 20  # of a job that fails for ever, the first and the last so many


class FailedAttemptQuerySet(models.QuerySet["FailedAttempt"]):
    """The one way in, and the ways out."""

    def of(self, job_id: str, generation: str) -> FailedAttemptQuerySet:
        """The attempts of one enqueue of an id, in their order."""
        return self.filter(job_id=job_id, generation=generation).order_by("number")

    def record(self, attempts: Sequence[FailedAttempt]) -> None:
        """Insert attempts; one that is recorded twice counts once."""
        self.bulk_create(attempts, ignore_conflicts=True)
        for attempt in attempts:
            last = attempt.number - KEPT_OF_EACH_END
            if last >= KEPT_OF_EACH_END:
                middle = self.of(attempt.job_id, attempt.generation).order_by()
                middle.filter(number__gte=KEPT_OF_EACH_END, number__lte=last).delete()

    def forget(self, jobs: Iterable[JobSnapshot]) -> None:
        """The jobs have finished after all."""
        for snapshot in jobs:
            self.of(snapshot.job_id, snapshot.generation).order_by().delete()


class FailedAttempt(models.Model):
    """One attempt that failed, in whichever store the job was."""

    job_id = NameField(_("job id"), max_length=255)
    generation = models.CharField(max_length=64, editable=False)
    number = models.PositiveIntegerField(_("number"))  # from 0
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"))
    worker_name = NameField(_("worker"), max_length=200, blank=True, default="")
    error_class = models.CharField(_("error"), max_length=255, blank=True, default="")
    message = models.TextField(_("message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")

    objects = FailedAttemptQuerySet.as_manager()

    class Meta:
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        constraints = (
            models.UniqueConstraint(
                fields=("job_id", "generation", "number"), name="drq_attempt_once"
            ),
        )
        indexes = (models.Index(fields=("ended_at",), name="drq_attempt_ended"),)

    def __str__(self) -> str:
        return f"{self.job_id} #{self.number + 1}"

    @classmethod
    def of(
        cls,
        snapshot: JobSnapshot,
        number: int,
        failure: Failure,
        *,
        worker_name: str,
        ended_at: datetime,
    ) -> FailedAttempt:
        """Make the record of an attempt, which is not saved yet; *snapshot* is the job after it."""
        words = failure.bounded().words()
        return cls(
            job_id=snapshot.job_id,
            generation=snapshot.generation,
            number=number,
            started_at=snapshot.time("started_at"),
            ended_at=ended_at,
            worker_name=worker_name,
            error_class=words["error_class"],
            message=words["message"],
            traceback=words["traceback"],
        )
