"""Queues from which no worker takes jobs, for the time being."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField

ALL = ""  # in the place of a queue's name: all queues


class PausedQueueQuerySet(models.QuerySet["PausedQueue"]):
    """Guarded changes, which say whether they changed anything."""

    def pause(self, name: str, *, reason: str, paused_by: str) -> bool:
        """Record a pause; False when there is one already, which then keeps its reason."""
        values = {"reason": reason[:500], "paused_by": paused_by[:200], "paused_at": timezone.now()}
        return self.get_or_create(queue_name=name, defaults=values)[1]

    def resume(self, name: str) -> bool:
        """End a pause; False when there is none."""
        return self.filter(queue_name=name).delete()[0] == 1

    def names(self) -> set[str]:
        """The names of paused queues, ALL among them when all are."""
        return set(self.values_list("queue_name", flat=True))

    def open_among(self, queue_names: Sequence[str]) -> list[str]:
        """Those of *queue_names* from which jobs may be taken, in their order."""
        paused = self.names()
        return [] if ALL in paused else [name for name in queue_names if name not in paused]


class PausedQueue(models.Model):
    """One pause: of one queue, or of all."""

    queue_name = NameField(_("queue"), max_length=200, unique=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")
    paused_by = models.CharField(_("paused by"), max_length=200, blank=True, default="")
    paused_at = models.DateTimeField(_("paused at"))

    objects = PausedQueueQuerySet.as_manager()

    class Meta:
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")
        ordering = ("queue_name",)
        permissions = (("pause_queue", _("Can pause and resume queues")),)

    def __str__(self) -> str:
        return self.queue_name or str(_("all queues"))
