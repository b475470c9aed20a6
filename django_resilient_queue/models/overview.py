"""What the overview page stands on in the admin: a permission and a name. There is no table."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .paused_queue import ALL

EVERY_QUEUE = "*"


class NoRows(models.Manager["Overview"]):
    """What dumps or counts every model finds none of this one, instead of no table."""

    def get_queryset(self) -> models.QuerySet[Overview]:
        """Return nothing, without asking the database."""
        return super().get_queryset().none()


class Overview(models.Model):
    """A queue as the overview's page has it; ``*`` is all of them together."""

    queue_name = models.CharField(_("queue"), max_length=200, primary_key=True)
    is_paused = False
    has_pause = False  # one that can be ended: of all queues together, any

    objects = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        verbose_name = _("overview")
        verbose_name_plural = _("overview")

    def __str__(self) -> str:
        return str(_("all queues")) if self.queue_name == EVERY_QUEUE else self.queue_name

    @property
    def pause_name(self) -> str:
        """Return by which name it is paused."""
        return ALL if self.queue_name == EVERY_QUEUE else self.queue_name
