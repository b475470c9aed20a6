"""What makes a report less than healthy.

========  =======================================================================================
healthy   both stores take jobs, live workers serve every queue, no limit is exceeded
degraded  jobs are accepted and executed, but something wants somebody's attention: one store is
          away, a circuit or an outage is open, a queue without a worker is empty, a limit of
          ``HEALTH_LIMITS`` is exceeded, or a store did not tell in time what lies in it
critical  jobs are accepted and some are not executed: no worker lives, or none serves a queue in
          which jobs wait; or they lie in one store only, the other being away for longer than
          ``outage_age``; or one Redis of several and the database are away, so that some queues
          refuse
down      neither store takes jobs: enqueue raises StoresUnavailableError
========  =======================================================================================

A paused queue, and ``rqsuspend``, are somebody's will and no reason in themselves; jobs that wait
there too long are (``queue_age``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ..conf import settings
from .report import HealthReport, Reason, Status

Limits = Mapping[str, int]
_Rule = Callable[[HealthReport, Limits], Iterator[Reason]]


def reasons_for(report: HealthReport, limits: Limits) -> list[Reason]:
    """Judge a report, the worst first; *limits* are those of ``HEALTH_LIMITS``."""
    found = [reason for rule in _RULES for reason in rule(report, limits)]
    return sorted(found, key=lambda reason: -reason.status.rank)


def judged(report: HealthReport) -> HealthReport:
    """Return it with its reasons, and with the status of the worst of them."""
    reasons = reasons_for(report, settings.health_limits())
    status = reasons[0].status if reasons else Status.HEALTHY
    return replace(report, status=status, reasons=reasons)


def _stores(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    away = [broker for broker in report.brokers if not broker.store.is_up]
    if away and not report.database.is_up:
        if len(away) == len(report.brokers):
            words = "Neither Redis nor the database takes jobs."
            yield Reason("stores_away", Status.DOWN, words)
        else:
            words = "The database and one Redis are away: some queues refuse jobs."
            yield Reason("some_refused", Status.CRITICAL, words)
    elif away:
        began = [broker.store.away_since for broker in away]
        began += [outage.started_at for outage in report.open_outages]
        yield _away(report, "redis", "Redis", limits, min(filter(None, began), default=None))
    elif not report.database.is_up:
        yield _away(report, "database", "The database", limits, report.database.away_since)


def _away(
    report: HealthReport, code: str, name: str, limits: Limits, since: datetime | None
) -> Reason:
    other = "the database" if code == "redis" else "Redis"
    if (report.age(since) or 0) > limits["outage_age"]:
        words = f"{name} has been away for long: jobs lie in {other} only."
        return Reason(f"{code}_long_away", Status.CRITICAL, words)
    return Reason(f"{code}_away", Status.DEGRADED, f"{name} is away: jobs go on in {other}.")


def _circuits(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    up = [broker for broker in report.brokers if broker.store.is_up]
    if any(broker.is_refusing for broker in up):
        words = "The circuit is open: this process stores jobs in the database."
        yield Reason("circuit_open", Status.DEGRADED, words)
    if {outage.broker for outage in report.open_outages} & {broker.address for broker in up}:
        words = "Redis answers, and no worker has gone back to it yet."
        yield Reason("outage_open", Status.DEGRADED, words)


def _answers(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    for name in report.untold:
        words = f"{name} takes jobs but did not tell in time what lies in it."
        yield Reason("incomplete", Status.DEGRADED, words)


def _workers(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    if report.workers is None:
        return
    if not report.workers:
        words = "No worker is alive: jobs are accepted and not executed."
        yield Reason("no_worker", Status.CRITICAL, words)
        return
    unserved = [queue for queue in report.queues if queue.workers == 0]
    stuck = [queue.name for queue in unserved if queue.waiting and not queue.is_paused]
    idle = [queue.name for queue in unserved if queue.name not in stuck]
    if stuck:
        words = f"No live worker serves {_names(stuck)}, where jobs wait."
        yield Reason("queue_stuck", Status.CRITICAL, words)
    if idle:
        words = f"No live worker serves {_names(idle)}."
        yield Reason("queue_unserved", Status.DEGRADED, words)


def _waiting(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    late = [q.name for q in report.queues if (report.age(q.oldest) or 0) > limits["queue_age"]]
    if late:
        words = f"A job in {_names(late)} has waited for more than {limits['queue_age']} s."
        yield Reason("queue_late", Status.DEGRADED, words)
    rows = report.backlog
    if rows > limits["backlog"]:
        words = f"{rows} jobs wait in the database, more than {limits['backlog']}."
        yield Reason("backlog", Status.DEGRADED, words)
    if (report.age(report.oldest_row) or 0) > limits["backlog_age"]:
        words = f"A job has waited in the database for more than {limits['backlog_age']} s."
        yield Reason("backlog_late", Status.DEGRADED, words)
    if report.unprotected > limits["unprotected"]:
        words = f"{report.unprotected} jobs are in Redis only, without a row."
        yield Reason("unprotected", Status.DEGRADED, words)


def _reconciling(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    everything_is_up = all(broker.store.is_up for broker in report.brokers)
    if everything_is_up and (report.age(report.look_due) or 0) > limits["reconcile_age"]:
        words = f"No row was compared with Redis for more than {limits['reconcile_age']} s."
        yield Reason("reconcile_late", Status.DEGRADED, words)


def _letters(report: HealthReport, limits: Limits) -> Iterator[Reason]:
    letters = report.dead_letters or {}
    total, oldest = letters.get("total", 0), letters.get("oldest")
    if total > limits["dead_letters"]:
        words = f"{total} dead letters wait for somebody, more than {limits['dead_letters']}."
        yield Reason("dead_letters", Status.DEGRADED, words)
    if oldest and oldest["days"] * 86400 > limits["dead_letter_age"]:
        words = f"A dead letter has waited for {oldest['days']} days."
        yield Reason("dead_letter_old", Status.DEGRADED, words)


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


_RULES: tuple[_Rule, ...] = (
    _stores,
    _circuits,
    _answers,
    _workers,
    _waiting,
    _reconciling,
    _letters,
)
