"""The figures of the overview as its templates show them: cards, queues and outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext

from django_resilient_queue.breaker import CircuitState
from django_resilient_queue.health import HealthReport
from django_resilient_queue.health.report import QueueHealth
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.dead_letter import Status as LetterStatus
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.overview import EVERY_QUEUE
from django_resilient_queue.models.paused_queue import ALL
from django_resilient_queue.models.worker_heartbeat import Mode

from .snapshot import Snapshot
from .wording import UNKNOWN, age, at_least, number, what_it_does

_CIRCUITS = {
    CircuitState.CLOSED.value: lazy("Closed"),
    CircuitState.OPEN.value: lazy("Open"),
    CircuitState.HALF_OPEN.value: lazy("Half open"),
}


class Address(Protocol):
    """The list of a model with a query; empty for a user who may not see it."""

    def __call__(self, model: type[Model], **query: str) -> str: ...


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


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A line of the table of queues."""

    name: str
    waiting: str
    active: str
    delayed: str
    failed: str
    failed_address: str
    oldest: str
    a_minute: str
    workers: str
    is_served: bool
    pause: str  # what is said of it; empty for none
    change: Change | None


@dataclass(frozen=True, slots=True)
class Change:
    """Where a pause is begun or ended."""

    words: str
    address: str


Changing = Callable[[str, str], str]
"""Takes a queue's name and ``pause`` or ``resume``; empty for a user who may not."""


def queues(snapshot: Snapshot, address: Address, changing: Changing) -> list[QueueLine]:
    """Return the queues in the order of ``RQ_QUEUES``."""
    return [_queue(each, snapshot, address, changing) for each in snapshot.report.queues]


def every_queue(snapshot: Snapshot, changing: Changing) -> Change | None:
    """Return where all queues are paused or, where they are, resumed."""
    is_paused = ALL in snapshot.report.paused
    words = _("Resume all") if is_paused else _("Pause all")
    return _change(EVERY_QUEUE, words, changing, is_paused=is_paused)


# ---- cards --------------------------------------------------------------------------------------


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
    rows = report.rows
    if rows is None:
        return Card(_("Fallback backlog"), UNKNOWN, [Line(_("The database did not say."))])
    waiting = report.backlog
    lines = [Line(_("Oldest: %s") % age(report.age(report.oldest_row)))] if waiting else []
    claimed = rows.get(State.CLAIMED, 0)
    if claimed:
        words = ngettext("%s runs from the database", "%s run from the database", claimed)
        lines.append(Line(words % number(claimed), address(FallbackJob, state__exact="claimed")))
    # The list has them, too: without a word it would seem to be of something else.
    later = rows.get(State.READY, 0) - waiting
    if later > 0:
        words = ngettext(
            "%s more waits for its time or another job",
            "%s more wait for their time or another job",
            later,
        )
        lines.append(Line(words % number(later)))
    dispatched = rows.get(State.DISPATCHED, 0)
    if dispatched:
        words = ngettext("%s is with Redis", "%s are with Redis", dispatched)
        lines.append(Line(words % number(dispatched)))
    figure = at_least(waiting, is_capped=report.rows_are_capped)
    return Card(
        _("Fallback backlog"),
        figure,
        lines,
        address(FallbackJob, state__exact=State.READY.value),
        is_bad=waiting > 0,
    )


def _letters(report: HealthReport, address: Address) -> Card:
    letters = report.dead_letters
    if letters is None:
        return Card(_("Dead letters"), UNKNOWN, [Line(_("The database did not say."))])
    dead = {"status__exact": LetterStatus.DEAD.value}
    words = dict(DeadLetter._meta.get_field("category").flatchoices)
    lines = [
        Line(
            f"{number(count)} {words.get(name) or name.replace('_', ' ') or _('other')}",
            address(DeadLetter, category__exact=name, **dead),
        )
        for name, count in letters["by_category"].items()
    ]
    total, oldest = letters["total"], letters.get("oldest")
    if oldest:
        died_at = datetime.fromisoformat(oldest["died_at"])
        lines.append(Line(_("Oldest: %s") % age(report.age(died_at))))
    return Card(_("Dead letters"), number(total), lines, address(DeadLetter, **dead), total > 0)


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


# ---- queues -------------------------------------------------------------------------------------


def _queue(
    queue: QueueHealth, snapshot: Snapshot, address: Address, changing: Changing
) -> QueueLine:
    report, tables = snapshot.report, snapshot.tables
    dead = None if tables.dead is None else tables.dead.get(queue.name, 0)
    rate = tables.throughput.get(queue.name)
    query = {"queue_name__exact": queue.name, "status__exact": LetterStatus.DEAD.value}
    return QueueLine(
        queue.name,
        UNKNOWN if queue.redis is None and queue.database is None else number(queue.waiting),
        _both(queue, "active"),
        _both(queue, "scheduled", "deferred"),
        UNKNOWN if dead is None else number(dead),
        address(DeadLetter, **query) if dead else "",
        age(report.age(queue.oldest)),
        UNKNOWN if rate is None else number(rate, 0 if rate >= 10 else 1),
        UNKNOWN if queue.workers is None else number(queue.workers),
        queue.workers != 0,
        _pause(queue, report),
        _change_of(queue.name, report, changing),
    )


def _change_of(name: str, report: HealthReport, changing: Changing) -> Change | None:
    is_paused = name in report.paused
    if ALL in report.paused and not is_paused:
        return None  # which ends with the pause of all
    words = _("Resume") if is_paused else _("Pause")
    return _change(name, words, changing, is_paused=is_paused)


def _change(name: str, words: str, changing: Changing, *, is_paused: bool) -> Change | None:
    address = changing(name, "resume" if is_paused else "pause")
    return Change(words, address) if address else None


def _both(queue: QueueHealth, *names: str) -> str:
    """Add up what both stores say; where Redis does not, there may be more."""
    known = [each for each in (queue.redis, queue.database) if each is not None]
    if not known:
        return UNKNOWN
    total = sum(getattr(each, name) for each in known for name in names)
    return at_least(total, is_capped=queue.redis is None)


def _pause(queue: QueueHealth, report: HealthReport) -> str:
    if ALL in report.paused:
        return _("all are paused")
    return _("paused") if queue.is_paused else ""
