"""The rules: each a code that stays, how bad it is, and where its condition holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..handlers.registry import registry
from ..health import HealthReport, Status
from ..models.alert import Finding, Severity
from ..stores.database import DatabaseStore

Findings = Sequence[Finding] | None  # None: nobody could say


# Reasons of the health report that have a rule of their own.
_TOLD = {"dead_letters", "dead_letter_old", "backlog_late", "unprotected", "queue_unserved"}


@dataclass(frozen=True, slots=True)
class Rule:
    """``find`` answers with the places where the condition holds in a report."""

    code: str
    severity: Severity
    words: str
    find: Callable[[HealthReport], Findings]


def critical_letters() -> list[dict[str, Any]]:
    """Return the newest dead letter of each critical handler that has any: pk, handler, job_id,
    queue_name, reason, error_class, attempts, died_at. Reads one row a handler."""
    dead, newest = DatabaseStore().letters.dead(), []
    columns = ("pk", "handler", "job_id", "queue_name", "reason", "error_class", "attempts")
    for handler in registry:
        if handler.critical:
            mine = dead.filter(handler=handler.name).order_by("-died_at")
            newest += list(mine.values(*columns, "died_at")[:1])
    return newest


def _outages(report: HealthReport) -> Findings:
    if not _told(report):
        return None
    return [
        Finding(each.broker, f"Redis connection failed: {each.cause}", each.started_at)
        for each in report.open_outages
    ]


def _critical_letters(report: HealthReport) -> Findings:
    if not _told(report):
        return None
    return [
        Finding(
            each["handler"],
            f"A job of {each['handler']} is a dead letter: job {each['job_id']} of queue"
            f" {each['queue_name']}, {each['reason']} {each['error_class']}, after"
            f" {each['attempts']} attempt{'s' * (each['attempts'] != 1)}.",
            each["died_at"],
            str(each["pk"]),
        )
        for each in critical_letters()
    ]


def _failing(report: HealthReport) -> Findings:
    return _all_of(report, Status.CRITICAL, Status.DOWN)


def _degraded(report: HealthReport) -> Findings:
    return _all_of(report, Status.DEGRADED)


def _unserved(report: HealthReport) -> Findings:
    if report.workers is None:
        return None
    return [
        Finding(queue.name, f"No live worker serves {queue.name}, where {queue.waiting} jobs wait.")
        for queue in report.queues
        if queue.workers == 0 and not queue.is_paused
    ]


def _all_of(report: HealthReport, *levels: Status) -> Findings:
    """Each reason of some levels that no other rule tells of."""
    reasons = [each for each in report.reasons if each.status in levels]
    return [Finding(each.code, each.message) for each in reasons if each.code not in _TOLD]


def _by_reason(code: str) -> Callable[[HealthReport], Findings]:
    """Make the condition that the report has this reason, where it could tell."""

    def find(report: HealthReport) -> Findings:
        found = [Finding("", each.message) for each in report.reasons if each.code == code]
        return found if found or _told(report) else None

    return find


def _unprotected(report: HealthReport) -> Findings:
    """Redis has the list of them."""
    is_known = all(each.store.is_up for each in report.brokers) and "Redis" not in report.untold
    return _by_reason("unprotected")(report) if is_known else None


def _told(report: HealthReport) -> bool:
    """Tell whether the database has said all it was asked: the letters are its last answer."""
    return report.dead_letters is not None


RULES = (
    Rule("redis_connection_failed", Severity.CRITICAL, "a Redis is away", _outages),
    Rule("stores_failing", Severity.CRITICAL, "jobs are refused or not executed", _failing),
    Rule(
        "critical_dead_letter",
        Severity.CRITICAL,
        "a job of a critical handler is dead",
        _critical_letters,
    ),
    Rule("degraded", Severity.INFO, "something wants somebody's attention", _degraded),
    Rule("queue_without_worker", Severity.WARNING, "no live worker serves a queue", _unserved),
    Rule("dead_letters", Severity.WARNING, "many dead letters", _by_reason("dead_letters")),
    Rule("dead_letter_old", Severity.WARNING, "an old dead letter", _by_reason("dead_letter_old")),
    Rule(
        "fallback_backlog_late",
        Severity.WARNING,
        "jobs wait in the database for long",
        _by_reason("backlog_late"),
    ),
    Rule("unprotected", Severity.WARNING, "many jobs are in Redis only", _unprotected),
)
