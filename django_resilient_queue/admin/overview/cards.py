"""The cards of the overview: circuit, backlog, dead letters and workers, each a figure in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext

from django_resilient_queue.breaker import CircuitState
from django_resilient_queue.health import HealthReport
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.dead_letter import Status as LetterStatus
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode

from ..addresses import Address
from ..amounts import UNKNOWN, age, at_least, number
from ..causes import what_it_does
from .snapshot import Snapshot

_CIRCUITS = {
    CircuitState.CLOSED.value: lazy("Closed"),
    CircuitState.OPEN.value: lazy("Open"),
    CircuitState.HALF_OPEN.value: lazy("Half open"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line below the figure of a card."""

    words: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One figure, and what belongs to it; ``is_bad`` where somebody is to look."""

    title: str
    figure: str
    lines: Sequence[Line]
    address: str = ""
    is_bad: bool = False


def cards(snapshot: Snapshot, address: Address) -> list[Card]:
    """Return circuit, backlog, dead letters and workers."""
    report = snapshot.report
    return [
        _circuit(report),
        _backlog(report, address),
        _letters(report, address),
        _workers(report, address),
    ]


def _circuit(report: HealthReport) -> Card:
    away = [each for each in report.brokers if not each.store.is_up]
    is_open = bool(away or report.open_outages or any(b.is_refusing for b in report.brokers))
    circuit = max((b.circuit for b in report.brokers), default=CircuitState.CLOSED.value)
    figure = _CIRCUITS[CircuitState.OPEN.value if is_open else circuit]
    lines = [*_way(report), *_stores(report)]
    return Card(_("Circuit"), str(figure), lines, is_bad=is_open)


def _way(report: HealthReport) -> Iterator[Line]:
    """Say where new jobs go, for whom *closed* sounds as if something were wrong. Of several
    Redis the stores below say more than this could."""
    ways = {each.store.is_up and not each.is_refusing for each in report.brokers}
    if ways == {True} and not report.open_outages:
        yield Line(_("New jobs go to Redis"))
    elif ways == {False} and report.database.is_up:
        yield Line(_("New jobs go to the database"))


def _stores(report: HealthReport) -> Iterator[Line]:
    for broker in report.brokers:
        name = "Redis" if len(report.brokers) == 1 else f"Redis {broker.address}"
        yield Line(_store(name, broker.store))
    yield Line(_store(_("The database"), report.database))


def _store(name: str, store: Any) -> str:
    if not store.is_up:
        return f"{name} {what_it_does(store.cause)}"
    return _("%(store)s answers in %(ms)s ms") % {
        "store": name,
        "ms": number((store.latency or 0) * 1000, 1),
    }


def _backlog(report: HealthReport, address: Address) -> Card:
    if report.rows is None:
        return Card(_("Fallback backlog"), UNKNOWN, [Line(_("The database did not say."))])
    return Card(
        _("Fallback backlog"),
        at_least(report.backlog, is_capped=report.rows_are_capped),
        list(_rows(report, report.rows, address)),
        address(FallbackJob, state__exact=State.READY.value),
        is_bad=report.backlog > 0,
    )


def _rows(report: HealthReport, rows: Mapping[str, int], address: Address) -> Iterator[Line]:
    if report.backlog:
        yield Line(_("Oldest: %s") % age(report.age(report.oldest_row)))
    if claimed := rows.get(State.CLAIMED, 0):
        words = ngettext("%s runs from the database", "%s run from the database", claimed)
        yield Line(words % number(claimed), address(FallbackJob, state__exact="claimed"))
    # The list has them, too: without a word it would seem to be of something else.
    later = rows.get(State.READY, 0) - report.backlog
    if later > 0:
        words = ngettext(
            "%s more waits for its time or another job",
            "%s more wait for their time or another job",
            later,
        )
        yield Line(words % number(later))
    if dispatched := rows.get(State.DISPATCHED, 0):
        words = ngettext("%s is with Redis", "%s are with Redis", dispatched)
        yield Line(words % number(dispatched))


def _letters(report: HealthReport, address: Address) -> Card:
    letters = report.dead_letters
    if letters is None:
        return Card(_("Dead letters"), UNKNOWN, [Line(_("The database did not say."))])
    dead = {"status__exact": LetterStatus.DEAD.value}
    is_capped = letters.get("is_capped", False)
    total = at_least(letters["total"], is_capped=is_capped)
    lines = [
        Line(
            f"{at_least(count, is_capped=is_capped)} {_category(name)}",
            address(DeadLetter, category__exact=name, **dead),
        )
        for name, count in letters["by_category"].items()
    ]
    oldest = letters.get("oldest")
    if oldest:
        died_at = datetime.fromisoformat(oldest["died_at"])
        lines.append(Line(_("Oldest: %s") % age(report.age(died_at))))
    is_bad = letters["total"] > 0
    return Card(_("Dead letters"), total, lines, address(DeadLetter, **dead), is_bad)


def _category(name: str) -> str:
    words = dict(DeadLetter._meta.get_field("category").flatchoices)
    return str(words.get(name) or name.replace("_", " ") or _("other"))


def _workers(report: HealthReport, address: Address) -> Card:
    if report.workers is None:
        return Card(_("Workers alive"), UNKNOWN, [Line(_("Neither store said."))], is_bad=True)
    modes = [str(worker.mode) for worker in report.workers]
    lines = []
    for mode, words in _MODES.items():
        if modes.count(mode):
            where = address(WorkerHeartbeat, mode__exact=mode, alive="yes") if mode else ""
            lines.append(Line(f"{number(modes.count(mode))} {words}", where))
    unserved = report.unserved()
    if unserved:
        lines.append(Line(_("None for %s") % ", ".join(unserved[:5])))
    if report.is_suspended:
        lines.append(Line(_("“rqsuspend” keeps them from starting jobs")))
    return Card(
        _("Workers alive"),
        number(len(modes)),
        lines,
        # The list has no rows of rq's own workers, whom the figure counts.
        "" if "" in modes else address(WorkerHeartbeat, alive="yes"),
        is_bad=bool(unserved or not modes or report.is_suspended),
    )


_MODES = {
    Mode.REDIS.value: lazy("from Redis"),
    Mode.DATABASE.value: lazy("from the database"),
    Mode.STARTING.value: lazy("starting"),
    "": lazy("of rq's own class"),
}
