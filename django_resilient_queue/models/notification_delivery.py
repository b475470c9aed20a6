"""What became of a notification on each channel, so that no attempt repeats what went out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField

_PRUNED_AT_ONCE = 100


class DeliveryState(models.TextChoices):
    """Where a notification stands on one channel."""

    SENT = "sent", _("sent")
    DELAYED = "delayed", _("delayed")  # until the quiet hours end; another job has it
    OFF = "off", _("off")  # its user does not want it
    UNREACHABLE = "unreachable", _("unreachable")
    REFUSED = "refused", _("refused")
    UNAVAILABLE = "unavailable", _("unavailable")  # another attempt may succeed


class NotificationDeliveryQuerySet(models.QuerySet["NotificationDelivery"]):
    """Records of one notification, and the guarded way to write one."""

    def of(self, user_key: str, key: str) -> NotificationDeliveryQuerySet:
        """Those of one notification."""
        return self.filter(user_key=user_key, key=key)

    def sent(self) -> NotificationDeliveryQuerySet:
        """Those that went out."""
        return self.filter(state=DeliveryState.SENT)

    def record(self, user_key: str, key: str, channel: str, target: str, **values: Any) -> None:
        """Write down an outcome (state, job_id, reason, due_at). What was sent stays sent."""
        values = {"reason": "", "due_at": None, **values, "changed_at": timezone.now()}
        values["reason"] = values["reason"][:200]
        found, created = self.get_or_create(
            user_key=user_key, key=key, channel=channel, target=target, defaults=values
        )
        if not created:
            self.filter(pk=found.pk).exclude(state=DeliveryState.SENT).update(**values)

    def prune(self, before: datetime) -> int:
        """Delete some of those that have not changed since; return how many."""
        old = self.filter(changed_at__lt=before).order_by("changed_at")
        pks = list(old.values_list("pk", flat=True)[:_PRUNED_AT_ONCE])
        return self.filter(pk__in=pks).delete()[0] if pks else 0


class NotificationDelivery(models.Model):
    """One channel of one notification; of push also each device, as ``target``."""

    user_key = NameField(_("user"), max_length=255)
    key = models.CharField(max_length=64, editable=False)
    channel = models.CharField(_("channel"), max_length=20)
    target = models.CharField(max_length=64, blank=True, default="", editable=False)
    state = models.CharField(_("state"), max_length=12, choices=DeliveryState)
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="")
    job_id = NameField(_("job id"), max_length=255)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed"))

    objects = NotificationDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery of a notification")
        verbose_name_plural = _("deliveries of notifications")
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("key", "channel", "target", "user_key"), name="drq_delivery_once"
            ),
        )
        indexes = (
            models.Index(fields=("changed_at",), name="drq_delivery_changed"),
            models.Index(fields=("state", "id"), name="drq_delivery_state"),
            models.Index(fields=("job_id",), name="drq_delivery_job"),
        )

    def __str__(self) -> str:
        return f"{self.channel} ({self.get_state_display()})"
