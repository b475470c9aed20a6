"""Checks for django-health-check 4.

    path("live/", HealthCheckView.as_view(checks=LIVENESS))
    path("ready/", HealthCheckView.as_view(checks=READINESS))
    path("queue/", HealthCheckView.as_view(checks=ALL))

Its view answers 500 for a warning as well. What restarts a process or takes it from the load
balancer must not hang on Redis or on workers: so LIVENESS is empty, and READINESS asks for a store
that takes jobs, no more.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from django_resilient_queue.health import HealthReport, Status, collect
from django_resilient_queue.health.report import QueueHealth

_BOUND = datetime.timedelta(seconds=2)  # the report itself takes less than one


@dataclasses.dataclass
class AcceptsJobs(HealthCheck):  # type: ignore[misc]
    """Redis or the database takes jobs."""

    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceUnavailable when neither does."""
        if collect().status is Status.DOWN:
            raise ServiceUnavailable("neither store takes jobs")


@dataclasses.dataclass
class BrokerPing(HealthCheck):  # type: ignore[misc]
    """The Redis of a queue takes a small write."""

    queue: str = "default"
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceUnavailable when it does not."""
        report = collect()
        address = _queue(report, self.queue).broker
        if any(each.address == address and not each.store.is_up for each in report.brokers):
            raise ServiceUnavailable("Redis does not take jobs")


@dataclasses.dataclass
class WorkersAlive(HealthCheck):  # type: ignore[misc]
    """Live workers serve each of some queues, by default of all."""

    queues: Sequence[str] = ()
    min_workers: int = 1
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceUnavailable, naming the queues that have too few or are unknown."""
        report = collect()
        names = self.queues or [queue.name for queue in report.queues]
        few = [n for n in names if (_queue(report, n).workers or 0) < self.min_workers]
        if few:
            words = f"fewer than {self.min_workers} live workers serve {', '.join(few)}"
            raise ServiceUnavailable(words)


@dataclasses.dataclass
class QueueLatency(HealthCheck):  # type: ignore[misc]
    """No job of a queue has waited for longer than *max_age*, in either store."""

    queue: str = "default"
    max_age: datetime.timedelta = datetime.timedelta(minutes=5)
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceWarning when one has."""
        report = collect()
        age = report.age(_queue(report, self.queue).oldest) or 0
        if age > self.max_age.total_seconds():
            raise ServiceWarning(f"a job has waited for {age:.0f} s")


@dataclasses.dataclass
class DeadLetters(HealthCheck):  # type: ignore[misc]
    """Few dead letters wait for somebody, and none for long."""

    max_size: int = 10
    max_age: datetime.timedelta = datetime.timedelta(days=1)
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceWarning when there are more or older ones; with the database away, too."""
        letters = _told(collect().dead_letters)
        if letters["total"] > self.max_size:
            raise ServiceWarning(f"{letters['total']} dead letters")
        oldest = letters["oldest"]
        if oldest and oldest["days"] > self.max_age / datetime.timedelta(days=1):
            raise ServiceWarning(f"a dead letter is {oldest['days']} days old")


@dataclasses.dataclass
class FallbackBacklog(HealthCheck):  # type: ignore[misc]
    """Few jobs wait in the database alone, and none for long."""

    max_size: int = 1000
    max_age: datetime.timedelta = datetime.timedelta(minutes=5)
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceWarning when there are more or older ones; with the database away, too."""
        report = collect()
        _told(report.rows)
        if report.backlog > self.max_size:
            raise ServiceWarning(f"{report.backlog} jobs wait in the database")
        age = report.age(report.oldest_row) or 0
        if age > self.max_age.total_seconds():
            raise ServiceWarning(f"a job has waited in the database for {age:.0f} s")


@dataclasses.dataclass
class CircuitClosed(HealthCheck):  # type: ignore[misc]
    """Neither this process nor any worker goes round Redis."""

    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceWarning while jobs go by the database."""
        if collect().is_falling_back:
            raise ServiceWarning("jobs go by the database")


@dataclasses.dataclass
class Reconciler(HealthCheck):  # type: ignore[misc]
    """A live worker is on duty for each Redis, and no row waits for long to be looked at."""

    max_age: datetime.timedelta = datetime.timedelta(minutes=5)
    timeout: datetime.timedelta = dataclasses.field(default=_BOUND, repr=False)

    def run(self) -> None:
        """Raise ServiceUnavailable when nobody is on duty, ServiceWarning when it is late."""
        report = collect()
        on_duty = _told(report.reconcilers)
        living = {worker.name for worker in report.workers or ()}
        if any(on_duty.get(broker.address) not in living for broker in report.brokers):
            raise ServiceUnavailable("no live worker reconciles")
        age = report.age(report.look_due) or 0
        if age > self.max_age.total_seconds():
            raise ServiceWarning(f"a row has waited for {age:.0f} s to be looked at")


LIVENESS: Sequence[type[HealthCheck]] = ()
READINESS: Sequence[type[HealthCheck]] = (AcceptsJobs,)
ALL: Sequence[type[HealthCheck]] = (
    AcceptsJobs,
    BrokerPing,
    WorkersAlive,
    QueueLatency,
    DeadLetters,
    FallbackBacklog,
    CircuitClosed,
    Reconciler,
)


def _queue(report: HealthReport, name: str) -> QueueHealth:
    for queue in report.queues:
        if queue.name == name:
            return queue
    raise ServiceUnavailable(f"no queue {name!r} in RQ_QUEUES")


def _told(value: Any) -> Any:
    if value is None:
        raise ServiceWarning("the database did not say")
    return value
