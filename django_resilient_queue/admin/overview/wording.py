"""How things stand in words: what an operator reads first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext

from django_resilient_queue.conf import settings
from django_resilient_queue.health import HealthReport, Status
from django_resilient_queue.models.fallback_job import State

from ..amounts import age, at_least, moment, number
from ..causes import what_it_does

_STATUSES = {
    Status.HEALTHY: lazy("Healthy"),
    Status.DEGRADED: lazy("Degraded"),
    Status.CRITICAL: lazy("Critical"),
    Status.DOWN: lazy("Down"),
}
# Of reasons that the first line is made of.
_IN_FIRST_LINE = {
    *("stores_away", "some_refused", "outage_open", "circuit_open"),
    *("redis_away", "redis_long_away", "database_away", "database_long_away"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The first lines: ``headline`` changes when the state does, ``detail`` all the time."""

    status: Status
    headline: str
    detail: str
    reasons: Sequence[str]


def standing_of(report: HealthReport) -> Standing:
    """Put a report into words."""
    reasons = {each.code: sentence(report, each.code, each.message) for each in report.reasons}
    others = [words for code, words in reasons.items() if code not in _IN_FIRST_LINE]
    what, detail = _first_line(report)
    if not what:
        what = others.pop(0) if others else _("both stores take jobs")
        detail = _served(report) if report.status is Status.HEALTHY else ""
    words = _("%(status)s: %(what)s") % {
        "status": _STATUSES[report.status],
        "what": what.rstrip("."),
    }
    return Standing(report.status, words, detail, others)


def _first_line(report: HealthReport) -> tuple[str, str]:
    away = [each for each in report.brokers if not each.store.is_up]
    if not report.database.is_up:
        return _without_database(report), ""
    if away or report.open_outages:
        return _outage(report), _meanwhile(report)
    if any(each.is_refusing for each in report.brokers):
        return _("the circuit is open: this process stores jobs in the database"), ""
    return "", ""


def _without_database(report: HealthReport) -> str:
    away = [each for each in report.brokers if not each.store.is_up]
    if len(away) == len(report.brokers):
        return _("neither Redis nor the database takes jobs")
    if away:
        return _("the database and one Redis are away: some queues refuse jobs")
    since = report.database.away_since or report.checked_at
    return _("the database %(does)s since %(time)s, jobs go on in Redis") % {
        "does": what_it_does(report.database.cause),
        "time": moment(since, report.checked_at),
    }


def _outage(report: HealthReport) -> str:
    away = {each.address: each for each in report.brokers if not each.store.is_up}
    known = {each.broker: each for each in report.open_outages}
    address = next(iter(away or known))
    words = {
        "redis": "Redis" if len(report.brokers) == 1 else f"Redis {address}",
        "time": moment(_since(report, address), report.checked_at),
    }
    if not away:
        return _("%(redis)s answers again, and no worker has gone back to it yet") % words
    cause = away[address].store.cause
    if "no answer" in cause and address in known:
        cause = known[address].cause or cause
    words["does"] = what_it_does(cause)
    if len(away) > 1:
        words["others"] = ngettext("%d other", "%d others", len(away) - 1) % (len(away) - 1)
        return _("%(redis)s %(does)s since %(time)s, and so do %(others)s") % words
    return _("%(redis)s %(does)s since %(time)s") % words


def _since(report: HealthReport, address: str) -> datetime:
    """Workers note the beginning for all; before they have, what this process saw."""
    began = [each.started_at for each in report.open_outages if each.broker == address]
    began += [
        each.store.away_since
        for each in report.brokers
        if each.address == address and each.store.away_since
    ]
    return min(began, default=report.checked_at)


def _meanwhile(report: HealthReport) -> str:
    done = sum(each.jobs_executed for each in report.open_outages)
    rows = report.rows or {}
    waiting = rows.get(State.READY, 0) + rows.get(State.DISPATCHED, 0)
    run = ngettext(
        "%(count)s job has run from the database",
        "%(count)s jobs have run from the database",
        done,
    ) % {"count": number(done)}
    wait = ngettext("%(count)s waits there", "%(count)s wait there", waiting) % {
        "count": at_least(waiting, is_capped=report.rows_are_capped)
    }
    return f"{run}, {wait}"


def _served(report: HealthReport) -> str:
    workers, queues = len(report.workers or ()), len(report.queues)
    return _("%(workers)s for %(queues)s") % {
        "workers": ngettext("%d worker", "%d workers", workers) % workers,
        "queues": ngettext("%d queue", "%d queues", queues) % queues,
    }


# ---- reasons ------------------------------------------------------------------------------------


def sentence(report: HealthReport, code: str, message: str) -> str:
    """Return the reason of that code in the reader's language; *message* where it is unknown."""
    words = _REASONS.get(code)
    return words(report) if words else message


def _stuck(report: HealthReport) -> str:
    names = [q.name for q in report.queues if q.workers == 0 and q.waiting and not q.is_paused]
    return _("No live worker serves %s, where jobs wait.") % _names(names)


def _unserved(report: HealthReport) -> str:
    names = [
        q.name for q in report.queues if q.workers == 0 and not (q.waiting and not q.is_paused)
    ]
    return _("No live worker serves %s.") % _names(names)


def _late(report: HealthReport) -> str:
    limit = _limit("queue_age")
    late = [q for q in report.queues if (report.age(q.oldest) or 0) > limit]
    names = [f"{q.name} ({_('paused')})" if q.is_paused else q.name for q in late]
    return _("A job in %(names)s has waited for more than %(age)s.") % {
        "names": _names(names),
        "age": age(limit),
    }


def _backlog(report: HealthReport) -> str:
    return _("%(count)s jobs wait in the database, more than %(limit)s.") % {
        "count": at_least(report.backlog, is_capped=report.rows_are_capped),
        "limit": number(_limit("backlog")),
    }


def _letters(report: HealthReport) -> str:
    return _("%(count)s dead letters wait for somebody, more than %(limit)s.") % {
        "count": number((report.dead_letters or {}).get("total", 0)),
        "limit": number(_limit("dead_letters")),
    }


def _old_letter(report: HealthReport) -> str:
    days = int(((report.dead_letters or {}).get("oldest") or {}).get("days", 0))
    return (
        ngettext(
            "A dead letter has waited for %d day.", "A dead letter has waited for %d days.", days
        )
        % days
    )


def _unprotected(report: HealthReport) -> str:
    return _("%s jobs are in Redis only, without a row.") % number(report.unprotected)


def _untold(report: HealthReport) -> str:
    name = "Redis" if "Redis" in report.untold else _("The database")
    return _("%s takes jobs but did not tell in time what lies in it.") % name


def _limit(name: str) -> int:
    return settings.health_limits()[name]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    more = len(names) - 10
    return _("%(names)s and %(more)d more") % {"names": shown, "more": more} if more > 0 else shown


_REASONS: Mapping[str, Callable[[HealthReport], str]] = {
    "incomplete": _untold,
    "no_worker": lambda report: _("No worker is alive: jobs are accepted and not executed."),
    "queue_stuck": _stuck,
    "queue_unserved": _unserved,
    "queue_late": _late,
    "backlog": _backlog,
    "backlog_late": lambda report: (
        _("A job has waited in the database for more than %s.") % age(_limit("backlog_age"))
    ),
    "unprotected": _unprotected,
    "reconcile_late": lambda report: (
        _("No row was compared with Redis for more than %s.") % age(_limit("reconcile_age"))
    ),
    "dead_letters": _letters,
    "dead_letter_old": _old_letter,
}
