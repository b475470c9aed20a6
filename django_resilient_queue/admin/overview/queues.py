"""The table of queues of the overview: what lies in each, and where it is paused or resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from django_resilient_queue.health import HealthReport
from django_resilient_queue.health.report import QueueHealth
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status as LetterStatus
from django_resilient_queue.models.overview import EVERY_QUEUE
from django_resilient_queue.models.paused_queue import ALL

from ..addresses import Address
from ..amounts import UNKNOWN, age, at_least, number
from .snapshot import Snapshot


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
        UNKNOWN if dead is None else at_least(dead, is_capped=tables.dead_is_capped),
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
