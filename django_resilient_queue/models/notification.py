"""What users read in the project itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Questions, and the one change: read."""

    def of(self, user_key: str) -> NotificationQuerySet:
        """Those of one user."""
        return self.filter(user_key=user_key)

    def unread(self) -> NotificationQuerySet:
        """Those that nobody has read."""
        return self.filter(read_at=None)

    def page(self, before: int | None, limit: int) -> list[Notification]:
        """The newest that are older than the one of this key; all without one."""
        older = self if before is None else self.filter(pk__lt=before)
        return list(older.order_by("-pk")[:limit])

    def mark_read(self, pks: Collection[int]) -> int:
        """Note that these are read; return how many were not before."""
        return self.unread().filter(pk__in=pks).update(read_at=timezone.now())

    def mark_all_read(self, until: int) -> int:
        """The same for all up to this key: what came since, its user has not seen."""
        return self.unread().filter(pk__lte=until).update(read_at=timezone.now())

    def read_before(self, moment: datetime) -> NotificationQuerySet:
        """Those that were read so long ago."""
        return self.filter(read_at__lt=moment)


class Notification(models.Model):
    """One message to one user. The user is named by key: tables may lie in another database."""

    user_key = NameField(_("user"), max_length=255)
    key = models.CharField(max_length=64, editable=False)
    kind = models.CharField(_("type"), max_length=64)
    title = models.CharField(_("title"), max_length=200, blank=True, default="")
    message = models.TextField(_("message"))
    link = models.CharField(_("link"), max_length=500, blank=True, default="")
    data = models.JSONField(_("data"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(fields=("user_key", "key"), name="drq_notification_once"),
        )
        indexes = (
            models.Index(fields=("user_key", "-id"), name="drq_notification_user"),
            models.Index(fields=("read_at",), name="drq_notification_read"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
