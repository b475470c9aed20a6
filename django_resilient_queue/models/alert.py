"""Alerts: what is wrong, since when, who has been told, and the notices that are still to be sent.

A row is one time during which a condition held. A change of it and the notices that tell of it are
one transaction: whoever dies before they are sent leaves them to another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

_OPEN = "open"
_AGAIN = timedelta(seconds=60)  # between two notices of one alert when there is something new


class Severity(models.TextChoices):
    """How bad it is; success is the end of something bad."""

    CRITICAL = "critical", _("critical")
    WARNING = "warning", _("warning")
    INFO = "info", _("info")
    SUCCESS = "success", _("success")


class Kind(models.TextChoices):
    """What a notice tells."""

    FIRED = "fired", _("fired")
    REMINDER = "reminder", _("reminder")
    RESOLVED = "resolved", _("resolved")
    TEST = "test", _("test")


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule's condition holds. ``key`` says which, "" where a rule knows only one;
    another ``mark`` than before says that something new has happened there."""

    key: str
    message: str
    since: datetime | None = None
    mark: str = ""


class AlertQuerySet(models.QuerySet["Alert"]):
    """Guarded changes: one alert of a rule and key at a time, one beginning and one end of it."""

    def open(self) -> AlertQuerySet:
        """Those whose condition holds, or held until just now."""
        return self.filter(open_marker=_OPEN)

    def firing(self) -> AlertQuerySet:
        """Those that have lasted long enough to be told."""
        return self.open().filter(fired_at__isnull=False)

    def see(self, rule: str, severity: str, finding: Finding, seen_at: datetime) -> None:
        """The condition held at *seen_at*."""
        mine = self.filter(rule=rule, key=finding.key)
        words = {"message": finding.message[:500], "mark": finding.mark}
        if mine.open().update(gone_at=None, **words):
            return
        if mine.filter(resolved_at__gte=seen_at).exists():
            return  # an old report: somebody has seen the end of it since
        try:
            with transaction.atomic(self.db):
                self.create(
                    rule=rule,
                    key=finding.key,
                    open_marker=_OPEN,
                    severity=severity,
                    since=min(finding.since or seen_at, seen_at),
                    seen_at=seen_at,
                    **words,
                )
        except IntegrityError:  # another was faster
            return

    def miss(self, rule: str, found: Collection[str], seen_at: datetime) -> None:
        """At *seen_at* the condition held for the keys *found*, and for no others."""
        others = self.open().filter(rule=rule).exclude(key__in=found)
        others.filter(fired_at=None).delete()
        others.filter(gone_at=None).update(gone_at=seen_at)

    def fire(self, rule: str, delay: float, now: datetime) -> None:
        """Have those fire that have lasted for *delay* seconds."""
        long_enough = Q(seen_at__lte=now - timedelta(seconds=delay))
        self.open().filter(long_enough, rule=rule, fired_at=None).update(fired_at=now)

    def tell(self, rule: str, channels: Iterable[str], remind: float, now: datetime) -> None:
        """Make the notices of those that nobody has been told of, or not for *remind* seconds
        (0: once is enough), or of which there is news."""
        due = Q(told_at=None) | (~Q(mark=F("told_mark")) & Q(told_at__lte=now - _AGAIN))
        if remind:
            due |= Q(told_at__lte=now - timedelta(seconds=remind))
        for alert in self.firing().filter(due, rule=rule, gone_at=None):
            kind = Kind.FIRED if alert.told_at is None else Kind.REMINDER
            with transaction.atomic(self.db):
                mine = self.open().filter(pk=alert.pk, told_at=alert.told_at)
                if mine.update(told_at=now, told_mark=alert.mark):
                    AlertNotice.objects.using(self.db).make(alert, kind, channels, now)

    def end(self, rule: str, channels: Iterable[str], calm: float, now: datetime) -> None:
        """End those whose condition has been gone for *calm* seconds; told to those only who have
        been told of the beginning."""
        over = Q(gone_at__lte=now - timedelta(seconds=calm))
        for alert in self.firing().filter(over, rule=rule):
            with transaction.atomic(self.db):
                mine = self.open().filter(over, pk=alert.pk)
                won = mine.update(open_marker=None, resolved_at=now)
                if won and alert.told_at is not None:
                    AlertNotice.objects.using(self.db).make(alert, Kind.RESOLVED, channels, now)


class Alert(models.Model):
    """One time during which a condition held."""

    rule = models.CharField(_("rule"), max_length=50)
    key = models.CharField(_("of"), max_length=200, blank=True, default="")
    # Unique with rule and key while it lasts, null afterwards, as of outages.
    open_marker = models.CharField(  # noqa: DJ001 - nulls may repeat in it
        max_length=4, null=True, default=None, editable=False
    )
    severity = models.CharField(_("severity"), max_length=10, choices=Severity)
    message = models.CharField(_("message"), max_length=500)
    mark = models.CharField(max_length=64, blank=True, default="", editable=False)
    told_mark = models.CharField(max_length=64, blank=True, default="", editable=False)
    since = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("first seen"))
    gone_at = models.DateTimeField(_("gone"), null=True, blank=True)
    fired_at = models.DateTimeField(_("fired"), null=True, blank=True)
    told_at = models.DateTimeField(_("last told"), null=True, blank=True)
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(fields=("rule", "key", "open_marker"), name="drq_alert_once"),
        )
        indexes = (
            models.Index(fields=("open_marker", "rule"), name="drq_alert_open"),
            # What lists are narrowed by.
            models.Index(fields=("severity", "id"), name="drq_alert_severity"),
            models.Index(fields=("resolved_at", "id"), name="drq_alert_resolved"),
            models.Index(fields=("since",), name="drq_alert_since"),
        )

    def __str__(self) -> str:
        return f"{self.rule} {self.key}".rstrip()


class AlertNoticeQuerySet(models.QuerySet["AlertNotice"]):
    """What is to be sent, each notice by one process at a time."""

    def make(self, alert: Alert, kind: Kind, channels: Iterable[str], now: datetime) -> None:
        """Insert a notice for each channel; in the transaction that changes the alert."""
        self.bulk_create(
            AlertNotice(
                alert=alert, channel=name, kind=kind, message=alert.message, made_at=now, try_at=now
            )
            for name in channels
        )

    def due(self) -> AlertNoticeQuerySet:
        """Those that are to be sent now."""
        return self.filter(done_at=None, try_at__lte=timezone.now())

    def claim(self, notice: AlertNotice, wait: float) -> bool:
        """Be the one who sends it; who dies over it leaves it to others after *wait* seconds."""
        again = timezone.now() + timedelta(seconds=wait)
        mine = self.filter(pk=notice.pk, done_at=None, tries=notice.tries)
        return mine.update(tries=F("tries") + 1, try_at=again) == 1

    def finish(self, notice: AlertNotice, problem: str = "") -> None:
        """It was sent, or given up because of a *problem*."""
        mine = self.filter(pk=notice.pk, done_at=None)
        mine.update(done_at=timezone.now(), problem=problem[:500])

    def fail(self, notice: AlertNotice, problem: str) -> None:
        """It was not sent, and is tried again."""
        self.filter(pk=notice.pk, done_at=None).update(problem=problem[:500])


class AlertNotice(models.Model):
    """One notice over one channel: pending until it was sent, or given up."""

    alert = models.ForeignKey(
        Alert, models.CASCADE, related_name="notices", verbose_name=_("alert")
    )
    channel = models.CharField(_("channel"), max_length=200)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    message = models.CharField(_("message"), max_length=500)
    made_at = models.DateTimeField(_("made"))
    tries = models.PositiveIntegerField(_("tries"), default=0)
    try_at = models.DateTimeField(_("next try"))
    done_at = models.DateTimeField(_("sent or given up"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=500, blank=True, default="")

    objects = AlertNoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert notice")
        verbose_name_plural = _("alert notices")
        ordering = ("-pk",)
        indexes = (models.Index(fields=("done_at", "try_at"), name="drq_notice_due"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.channel}"


class AlertSilenceQuerySet(models.QuerySet["AlertSilence"]):
    """Guarded changes."""

    def silence(self, rule: str, *, until: datetime, by: str, reason: str = "") -> None:
        """Send no notices of a rule until then; a later word replaces an earlier one."""
        values = {"until": until, "set_by": by[:200], "reason": reason[:500]}
        self.update_or_create(rule=rule, defaults=values)

    def lift(self, rule: str) -> bool:
        """Send notices again; False when the rule was not silent."""
        return self.filter(rule=rule).delete()[0] == 1

    def rules(self, now: datetime) -> set[str]:
        """The rules that are silent."""
        return set(self.filter(until__gt=now).values_list("rule", flat=True))


class AlertSilence(models.Model):
    """A rule of which nobody wants to hear for a while."""

    rule = models.CharField(_("rule"), max_length=50, unique=True)
    until = models.DateTimeField(_("until"))
    set_by = models.CharField(_("by"), max_length=200, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")

    objects = AlertSilenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert silence")
        verbose_name_plural = _("alert silences")
        permissions = (("silence_alert", _("Can silence and unsilence rules of alerts")),)

    def __str__(self) -> str:
        return self.rule
