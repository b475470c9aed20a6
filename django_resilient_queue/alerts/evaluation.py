"""Looking at the rules once: what holds is seen, told and reminded of, what does not is ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from ..conf import settings
from ..health import HealthReport, collect
from ..models import Alert, AlertNotice, AlertSilence
from ..stores.guard import database_errors
from .rules import RULES, Findings, Rule

_KEPT = timedelta(days=30)  # of what is over
_BATCH = 1000
_MOST = 100  # places of one rule that are told of; more are no news to anybody


def evaluate(report: HealthReport | None = None) -> bool:
    """Look at every rule; True when notices are to be sent. Any number of processes may do it at
    once: each change is made by one of them. Raises StoreError with the database away."""
    report = report or collect()
    with database_errors(settings.DATABASE):
        now = timezone.now()
        silent = AlertSilence.objects.using(settings.DATABASE).rules(now)
        for rule in RULES:
            found = [] if rule.code in settings.ALERT_RULES_OFF else rule.find(report)
            _judge(rule, found, report.checked_at, is_silent=rule.code in silent)
        return AlertNotice.objects.using(settings.DATABASE).due().exists()


def forget() -> int:
    """Delete what has been over for long, and notices as old; returns 0, for nothing hurries."""
    with database_errors(settings.DATABASE):
        oldest = timezone.now() - _KEPT
        for rows in (
            Alert.objects.using(settings.DATABASE).filter(resolved_at__lt=oldest),
            AlertNotice.objects.using(settings.DATABASE).filter(done_at__lt=oldest),
        ):
            over = list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH])
            rows.filter(pk__in=over).delete()
    return 0


def _judge(rule: Rule, found: Findings, seen_at: datetime, *, is_silent: bool) -> None:
    alerts, now = Alert.objects.using(settings.DATABASE), timezone.now()
    channels = () if is_silent else tuple(dict.fromkeys(settings.ALERT_CHANNELS))
    if found is not None:
        for finding in found[:_MOST]:
            alerts.see(rule.code, rule.severity, finding, seen_at)
        alerts.miss(rule.code, [each.key for each in found[:_MOST]], seen_at)
        alerts.fire(rule.code, settings.alert_delay(rule.code), now)
    if not is_silent:
        alerts.tell(rule.code, channels, settings.ALERT_REMIND, now)
    alerts.end(rule.code, channels, settings.ALERT_CALM, now)
