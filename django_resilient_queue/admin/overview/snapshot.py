"""What the overview shows, asked once for all who look: ten operators cost as much as one.

Each process that serves pages asks for itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db.models import Max, Q
from django.utils import timezone

from django_resilient_queue import forks
from django_resilient_queue.conf import settings
from django_resilient_queue.facts.history import SPANS, History, Span, history, throughput
from django_resilient_queue.health import BOUND, HealthReport, collect
from django_resilient_queue.health.asking import Asking, ask_tables
from django_resilient_queue.health.collecting import brokers
from django_resilient_queue.models import Outage, Sample
from django_resilient_queue.recovery.statistics import dead_by_queue
from django_resilient_queue.stores.guard import database_errors

T = TypeVar("T")

KEPT = 1.0  # seconds for which an answer is good for everybody
PATIENCE = 0.3  # seconds that a page waits for Redis
MOST_OUTAGES = 200  # of a week; the newest
_WEEK = timedelta(days=7)


@dataclass
class Tables:
    """What the tables say besides the report; None where they did not in time."""

    outages: Sequence[Outage] | None = None
    dead: dict[str, int] | None = None
    dead_is_capped: bool = False
    throughput: dict[str, float] = field(default_factory=dict)
    sampled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand."""

    report: HealthReport
    tables: Tables


class Kept(Generic[T]):
    """An answer that all share for a while; who comes while it is made waits for it."""

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._answer: T | None = None
        self._made_at = 0.0
        forks.renew_by(self.forget)

    def get(self) -> T:
        """Return it, or a new one where it is too old."""
        forks.notice()
        lock = self._lock
        with lock:
            if self._answer is not None and time.monotonic() - self._made_at < self._seconds:
                return self._answer
            answer = self._make()
            if lock is self._lock:  # else it was asked for before something changed
                self._answer, self._made_at = answer, time.monotonic()
            return answer

    def forget(self) -> None:
        """Make a new one at the next call, also while one is made."""
        self._lock, self._answer = threading.Lock(), None


def snapshot() -> Snapshot:
    """Say how things stand, at most a second ago."""
    return _snapshot.get()


def history_of(span: Span) -> History | None:
    """Return what charts are drawn from; None where the database does not say so in time."""
    return _histories[span.name].get()


def look_again() -> None:
    """Have the next page of this process show what was changed just now."""
    _snapshot.forget()


def reset() -> None:
    """Forget all answers; for tests."""
    _snapshot.forget()
    for kept in _histories.values():
        kept.forget()


def _look() -> Snapshot:
    asking = _ask("overview", Tables, _fill)
    report = collect(patience=PATIENCE)
    asking.wait(BOUND)
    return Snapshot(report, asking.found)


def _fill(tables: Tables) -> None:
    alias, now = settings.DATABASE, timezone.now()
    _look_for_recovery()
    with database_errors(alias):
        outages = Outage.objects.using(alias).filter(
            Q(ended_at=None) | Q(ended_at__gte=now - _WEEK)
        )
        tables.outages = list(outages.order_by("-started_at")[:MOST_OUTAGES])
        tables.dead = dead_by_queue()
        tables.throughput = throughput(now, alias)
        newest = Sample.objects.using(alias).aggregate(at=Max("minute"))
        tables.sampled_at = newest["at"]


def _look_for_recovery() -> None:
    """Close the circuits of this process when workers say that the outage is over. Producers do so
    with the next job: where none comes, the page would show an outage that has ended."""
    for broker, _names in brokers():
        broker.look_for_recovery()


@dataclass
class _Found:
    history: History | None = None


def _read(span: Span) -> History | None:
    def fill(found: _Found) -> None:
        with database_errors(settings.DATABASE):
            found.history = history(span, timezone.now(), settings.DATABASE)

    asking = _ask(f"history of a {span.name}", _Found, fill)
    asking.wait(BOUND)
    return asking.found.history


def _ask(name: str, blank: Callable[[], T], fill: Callable[[T], None]) -> Asking[T]:
    alias = settings.DATABASE
    return ask_tables(alias, f"{name} {alias}", blank, fill)


def _keep(span: Span) -> Kept[History | None]:
    return Kept(lambda: _read(span), _CHARTS_KEPT)


# A sample comes once a minute; as long as a chart may lag behind it.
_CHARTS_KEPT = 10.0
_snapshot = Kept(_look, KEPT)
_histories = {name: _keep(span) for name, span in SPANS.items()}
