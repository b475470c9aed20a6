"""Outages of Redis, as the workers and producers saw them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField

_OPEN = "open"
_JUST = timedelta(minutes=5)


class OutageQuerySet(models.QuerySet["Outage"]):
    """Guarded changes: one outage of a Redis at a time, and one end of it."""

    def lasting(self) -> OutageQuerySet:
        """Those that have not ended."""
        return self.filter(ended_at=None)

    def open(self, broker: str) -> OutageQuerySet:
        """The outage of *broker* that has not ended, if any."""
        return self.filter(broker=broker, open_marker=_OPEN)

    def begin(self, broker: str, *, cause: str, reported_by: str) -> bool:
        """Record that an outage began; False when it is known already."""
        if self.open(broker).exists():
            return False
        try:
            with transaction.atomic(self.db):
                self.create(
                    broker=broker,
                    open_marker=_OPEN,
                    started_at=timezone.now(),
                    cause=cause[:500],
                    reported_by=reported_by,
                )
        except IntegrityError:  # another was faster
            return False
        return True

    def end(self, broker: str) -> bool:
        """Record that the outage is over; False when there was none, or another ended it."""
        now = timezone.now()
        return self.open(broker).update(open_marker=None, ended_at=now) == 1

    def add(self, broker: str, *, executed: int = 0, drained: int = 0) -> None:
        """Add to the counts of the newest outage, ended or not: its rows drain after its end."""
        if not (executed or drained):
            return
        newest = self.filter(broker=broker).order_by("-pk").values_list("pk", flat=True).first()
        if newest is not None:
            self.filter(pk=newest).update(
                jobs_executed=F("jobs_executed") + executed,
                jobs_drained=F("jobs_drained") + drained,
            )

    def add_stored(self, broker: str, count: int, slowest: float, *, now: datetime) -> None:
        """Add jobs that the database accepted in Redis's place, the slowest in so many seconds, to
        the outage that lasts or has just ended: producers tell of them a little later."""
        self._recent(broker, now).update(
            jobs_stored=F("jobs_stored") + count,
            slowest_enqueue=Greatest("slowest_enqueue", Value(slowest)),
        )

    def add_lost(self, broker: str, count: int, *, now: datetime) -> None:
        """Add jobs that Redis alone had, and has no more, to the outage that lasts or has just
        ended; without one, as after a FLUSHALL, they are counted by path alone."""
        self._recent(broker, now).update(jobs_lost=F("jobs_lost") + count)

    def _recent(self, broker: str, now: datetime) -> OutageQuerySet:
        recent = Q(ended_at=None) | Q(ended_at__gte=now - _JUST)
        mine = self.filter(recent, broker=broker).order_by("-pk")
        # Read before: MariaDB updates no table that it selects from.
        return self.filter(pk__in=list(mine.values_list("pk", flat=True)[:1]))


class Outage(models.Model):
    """A time during which a Redis did not do its work."""

    broker = NameField(_("broker"), max_length=200)
    # Unique with the broker while the outage lasts, null afterwards: a constraint that every
    # database keeps, which a conditional one is not.
    open_marker = models.CharField(  # noqa: DJ001 - nulls may repeat in it
        max_length=4, null=True, default=None, editable=False
    )
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    cause = models.CharField(_("cause"), max_length=500, blank=True, default="")
    reported_by = models.CharField(_("reported by"), max_length=200, blank=True, default="")
    # By what producers counted: with METRICS_INTERVAL 0 nothing, and less after one was killed.
    jobs_stored = models.PositiveIntegerField(_("jobs stored in the database"), default=0)
    slowest_enqueue = models.FloatField(_("slowest enqueue (s)"), default=0.0)
    jobs_executed = models.PositiveIntegerField(_("jobs run from the database"), default=0)
    jobs_drained = models.PositiveIntegerField(_("jobs drained to Redis"), default=0)
    # Without an outbox, or unprotected: the database had no row of them.
    jobs_lost = models.PositiveIntegerField(_("jobs lost"), default=0)

    objects = OutageQuerySet.as_manager()

    class Meta:
        verbose_name = _("outage")
        verbose_name_plural = _("outages")
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(fields=("broker", "open_marker"), name="drq_outage_one_open"),
        )
        indexes = (
            models.Index(fields=("started_at",), name="drq_outage_started"),
            models.Index(fields=("ended_at",), name="drq_outage_ended"),
        )

    def __str__(self) -> str:
        return f"{self.broker} {timezone.localtime(self.started_at):%Y-%m-%d %H:%M:%S}"
