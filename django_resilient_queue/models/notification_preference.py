"""Which channels a user wants, in general and for single types of notifications."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .names import NameField

EVERY = ""  # in the place of a type: all that have no preference of their own


class NotificationPreferenceQuerySet(models.QuerySet["NotificationPreference"]):
    """What a user has said."""

    def of(self, user_key: str) -> NotificationPreferenceQuerySet:
        """All preferences of one user."""
        return self.filter(user_key=user_key)

    def set_for(self, user_key: str, kind: str, channel: str, *, enabled: bool) -> None:
        """Write a preference, in place of the one before."""
        self.update_or_create(
            user_key=user_key, kind=kind, channel=channel, defaults={"enabled": enabled}
        )

    def unwanted(self, user_key: str, kind: str) -> set[str]:
        """Return the channels by which this user wants nothing of this type."""
        mine = self.of(user_key).filter(kind__in=(EVERY, kind))
        said = {(each.kind, each.channel): each.enabled for each in mine}
        channels = {channel for _kind, channel in said}
        return {
            channel
            for channel in channels
            if not said.get((kind, channel), said.get((EVERY, channel), True))
        }


class NotificationPreference(models.Model):
    """One channel on or off for one user."""

    user_key = NameField(_("user"), max_length=255)
    kind = models.CharField(_("type"), max_length=64, blank=True, default=EVERY)
    channel = models.CharField(_("channel"), max_length=20)
    enabled = models.BooleanField(_("enabled"))

    objects = NotificationPreferenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification preference")
        verbose_name_plural = _("notification preferences")
        ordering = ("user_key", "kind", "channel")
        constraints = (
            models.UniqueConstraint(
                fields=("user_key", "kind", "channel"), name="drq_preference_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.channel} {self.kind or _('all')}"
