"""What each store is asked for a report, and what it has answered so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.utils import timezone

from ..conf import settings
from ..exceptions import StoreRefused
from ..facts import (
    DatabaseFacts,
    RedisFacts,
    Sightings,
    WorkerFacts,
    database_facts,
    lost_by_path,
    redis_facts,
)
from ..models import BrokerState, Outage, PausedQueue
from ..recovery.statistics import statistics
from ..stores.brokers import Broker, probe
from ..stores.guard import database_errors
from .asking import Asking, ask, ask_tables
from .report import OutageHealth


@dataclass
class RedisAnswer:
    """``latency`` (seconds) is known when Redis has taken a write."""

    latency: float | None = None
    facts: RedisFacts | None = None


@dataclass
class DatabaseAnswer:
    """The same of the database; ``alive`` are the workers whose heartbeats move."""

    latency: float | None = None
    facts: DatabaseFacts | None = None
    alive: Sequence[WorkerFacts] | None = None
    open_outages: list[OutageHealth] = field(default_factory=list)
    last_outage: OutageHealth | None = None
    paused: list[str] | None = None
    letters: dict[str, Any] | None = None
    lost: dict[str, int] | None = None


def ask_redis(broker: Broker, queue_names: Sequence[str]) -> Asking[RedisAnswer]:
    """Ask one Redis: does it take a write, and what lies in the queues?"""

    def fill(answer: RedisAnswer) -> None:
        with suppress(StoreRefused):  # one that takes no writes may still tell what lies in it
            answer.latency = _seconds(lambda: probe(broker.link))
        answer.facts = redis_facts(broker.link, broker.address, queue_names)
        if answer.latency is None:
            probe(broker.link)  # for what it says

    return ask(f"redis {broker.address}", RedisAnswer, fill)


def ask_database(sightings: Sightings) -> Asking[DatabaseAnswer]:
    """Ask the database: does it take a write, and what is in the tables?"""
    alias = settings.DATABASE

    def fill(answer: DatabaseAnswer) -> None:
        with database_errors(alias):
            # Matches no row, which a server that is read-only refuses all the same.
            states = BrokerState.objects.using(alias).filter(pk=0)
            connections[alias].ensure_connection()
            answer.latency = _seconds(lambda: states.update(turn=0))
        _fill(answer, alias, sightings)

    return ask_tables(alias, f"database {alias}", DatabaseAnswer, fill)


def _fill(answer: DatabaseAnswer, alias: str, sightings: Sightings) -> None:
    with database_errors(alias):
        answer.facts = facts = database_facts(alias)
        now = timezone.now()
        answer.alive = sightings.alive(facts.workers, lease=settings.LEASE, now=now)
        answer.paused = sorted(PausedQueue.objects.using(alias).names())
        outages = Outage.objects.using(alias).order_by("-pk")
        answer.open_outages = [_outage(each) for each in outages.lasting()[:100]]
        answer.last_outage = next((_outage(each) for each in outages[:1]), None)
        answer.letters = statistics()
        answer.lost = lost_by_path(alias)


def _outage(row: Outage) -> OutageHealth:
    return OutageHealth(
        row.broker, row.started_at, row.ended_at, row.cause, row.jobs_executed, row.jobs_drained
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
