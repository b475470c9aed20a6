"""When a user is not to be disturbed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import models
from django.utils.translation import gettext_lazy as _

from .names import NameField


class QuietHoursQuerySet(models.QuerySet["QuietHours"]):
    """Each user has one or none."""

    def of(self, user_key: str) -> QuietHoursQuerySet:
        """Those of one user."""
        return self.filter(user_key=user_key)


class QuietHours(models.Model):
    """From one time of the day to another, over midnight where that is earlier."""

    user_key = NameField(_("user"), max_length=255, unique=True)
    begins = models.TimeField(_("begins"))
    ends = models.TimeField(_("ends"))
    time_zone = models.CharField(_("time zone"), max_length=64)

    objects = QuietHoursQuerySet.as_manager()

    class Meta:
        verbose_name = _("quiet hours")
        verbose_name_plural = _("quiet hours")

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M} {self.time_zone}"

    def end_after(self, now: datetime) -> datetime | None:
        """Return when it is over, in UTC; None when *now* (aware) is not within."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        over_midnight = self.ends < self.begins
        late = local.time() >= self.begins
        early = local.time() < self.ends
        if not (late or early if over_midnight else late and early):
            return None
        day = local.date() + timedelta(days=1 if over_midnight and late else 0)
        end = datetime.combine(day, self.ends, ZoneInfo(self.time_zone)).astimezone(UTC)
        # An hour that the clocks skip or repeat may lie behind by now.
        return end if end > now else None
