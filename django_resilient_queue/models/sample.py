"""How things stood once a minute, for charts. What is old is thinned, so that it stays small."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

from .letter_tally import start_of_hour
from .names import NameField

MINUTES_KEPT = timedelta(hours=25)  # a day of minutes, and the hour that is not over
HOURS_KEPT = timedelta(days=8)
_BATCH = 500


class SampleQuerySet(models.QuerySet["Sample"]):
    """The way in, and the way out."""

    def take(self, broker: str, minute: datetime, **values: Any) -> bool:
        """Note how things stand; False when another worker has, in that minute."""
        try:
            with transaction.atomic(self.db):
                self.create(broker=broker, minute=minute, **values)
        except IntegrityError:
            return False
        return True

    def thin(self, broker: str, now: datetime) -> int:
        """Of minutes older than a day keep one an hour; delete what is older than a week. Returns
        how many minutes it looked at, which is the size of a batch where there may be more."""
        self.filter(minute__lt=now - HOURS_KEPT).delete()
        old = self.filter(
            broker=broker, is_hourly=False, minute__lt=start_of_hour(now - MINUTES_KEPT)
        )
        hours: dict[datetime, list[Sample]] = defaultdict(list)
        taken = list(old.only("minute", "waiting").order_by("minute")[:_BATCH])
        for each in taken:
            hours[start_of_hour(each.minute)].append(each)
        with transaction.atomic(self.db):
            for minutes in hours.values():
                self._keep_last(minutes)
        return len(taken)

    def _keep_last(self, minutes: list[Sample]) -> None:
        """The sums only grow, so the last one says what came in an hour; a backlog has a peak."""
        *others, last = minutes
        peak = max((each.waiting for each in minutes if each.waiting is not None), default=None)
        self.filter(pk=last.pk).update(waiting=peak, is_hourly=True)
        self.filter(pk__in=[each.pk for each in others]).delete()


class Sample(models.Model):
    """The queues of one Redis in one minute, or at the end of an hour.

    ``performed`` and ``enqueued`` are sums since the tables were made, as `Measure` has them:
    ``{queue: [attempts from Redis, attempts from the database]}``, and how many enqueues took how
    long, by bucket. ``waiting`` is None where Redis did not say; of an hour it is the most.
    """

    broker = NameField(_("broker"), max_length=200)
    minute = models.DateTimeField(_("minute"))
    taken_at = models.DateTimeField(_("taken at"))
    is_hourly = models.BooleanField(default=False, editable=False)
    waiting = models.PositiveIntegerField(_("waiting"), null=True)
    dead = models.PositiveIntegerField(_("dead letters"), default=0)
    performed = models.JSONField(_("performed"), default=dict)
    enqueued = models.JSONField(_("enqueued"), default=list)

    objects = SampleQuerySet.as_manager()

    class Meta:
        verbose_name = _("sample")
        verbose_name_plural = _("samples")
        constraints = (
            models.UniqueConstraint(fields=("minute", "broker"), name="drq_sample_once"),
        )

    def __str__(self) -> str:
        return f"{self.broker} {self.minute:%Y-%m-%d %H:%M}"
