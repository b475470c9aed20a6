"""Many dead letters requeued, discarded or restored as one undertaking, which workers carry out."""

from __future__ import annotations

from collections.abc import Collection

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .dead_letter import DeadLetter


class RunStatus(models.TextChoices):
    """Where a run stands."""

    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    FINISHED = "finished", _("finished")
    CANCELLED = "cancelled", _("cancelled")


class Deed(models.TextChoices):
    """What a run does with its letters."""

    REQUEUE = "requeue", _("requeue")
    DISCARD = "discard", _("discard")
    RESTORE = "restore", _("restore")


class Outcome(models.TextChoices):
    """What a run did with one letter; the columns of the counts are called so, too."""

    REQUEUED = "requeued", _("requeued")
    DISCARDED = "discarded", _("discarded")
    RESTORED = "restored", _("restored")
    SKIPPED = "skipped", _("somebody else dealt with it")
    REFUSED = "refused", _("can't be requeued")


class RecoveryRunQuerySet(models.QuerySet["RecoveryRun"]):
    """Guarded changes, which say whether they won."""

    def running(self) -> RecoveryRunQuerySet:
        """Those that have letters to deal with."""
        return self.filter(status=RunStatus.RUNNING)

    def change(self, pk: int, to: str, *, among: Collection[str], note: str = "") -> bool:
        """Set the status of a run that is in one of *among*."""
        over = timezone.now() if to in (RunStatus.FINISHED, RunStatus.CANCELLED) else None
        values = {"status": to, "note": note[:500], "ended_at": over}
        return self.filter(pk=pk, status__in=among).update(**values) == 1

    def hold(self, pk: int, **also: object) -> bool:
        """Keep a run that still runs as it is until the transaction ends: whoever pauses it waits.
        False when it does not, or is not what *also* says any more."""
        # Written, not only read: SQLite knows no other lock.
        return self.running().filter(pk=pk, **also).update(status=RunStatus.RUNNING) == 1

    def advance(self, pk: int, *, to: int, counts: dict[str, int]) -> None:
        """Note how far a run has come: the last letter it looked at, and what it did."""
        sums = {name: F(name) + count for name, count in counts.items()}
        self.filter(pk=pk).update(position=to, **sums)


class RecoveryRun(models.Model):
    """A selection of letters, what is done with them, how fast, and how far that has come."""

    status = models.CharField(
        _("status"), max_length=10, choices=RunStatus, default=RunStatus.RUNNING
    )
    deed = models.CharField(_("what is done"), max_length=10, choices=Deed, default=Deed.REQUEUE)
    note = models.CharField(_("note"), max_length=500, blank=True, default="")
    selection = models.JSONField(_("selection"))
    reason = models.CharField(_("why"), max_length=500, blank=True, default="")
    created_by = models.CharField(_("by"), max_length=200, blank=True, default="")
    # Of the page that it was confirmed on: what is confirmed twice is one run.
    key = models.UUIDField(null=True, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    rate = models.FloatField(_("letters a second"), default=10.0)
    # So many are requeued first, and have to finish before the others follow.
    canary = models.PositiveIntegerField(_("canary"), default=0)
    total = models.PositiveIntegerField(_("letters at the start"), default=0)
    # Marks of the letters that were there at the start by clocks that are ahead of its own.
    ahead = models.JSONField(default=list, editable=False)
    position = models.BigIntegerField(default=0, editable=False)  # key of the last letter seen
    requeued = models.PositiveIntegerField(_("requeued"), default=0)
    discarded = models.PositiveIntegerField(_("discarded"), default=0)
    restored = models.PositiveIntegerField(_("restored"), default=0)
    skipped = models.PositiveIntegerField(_("skipped"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)

    objects = RecoveryRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("recovery run")
        verbose_name_plural = _("recovery runs")
        ordering = ("-pk",)
        indexes = (models.Index(fields=("status",), name="drq_run_status"),)

    def __str__(self) -> str:
        return f"#{self.pk}"  # without its status, which a page that stands open would outlive

    @property
    def handled(self) -> int:
        """How many letters it has looked at, whatever became of them."""
        return sum(getattr(self, name) for name in Outcome.values)

    @property
    def waits_for_canary(self) -> bool:
        """Tell whether all of the canary is requeued, and nothing else yet."""
        return self.status == RunStatus.RUNNING and 0 < self.canary == self.requeued


class RunItem(models.Model):
    """What a run did with one letter."""

    run = models.ForeignKey(
        RecoveryRun, models.CASCADE, related_name="items", verbose_name=_("recovery run")
    )
    letter = models.ForeignKey(
        DeadLetter, models.CASCADE, related_name="+", verbose_name=_("dead letter")
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)
    detail = models.CharField(_("detail"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("letter of a run")
        verbose_name_plural = _("letters of a run")
        constraints = (models.UniqueConstraint(fields=("run", "letter"), name="drq_item_once"),)
        indexes = (models.Index(fields=("outcome", "run", "letter"), name="drq_item_outcome"),)

    def __str__(self) -> str:
        return f"{self.letter_id}: {self.get_outcome_display()}"
