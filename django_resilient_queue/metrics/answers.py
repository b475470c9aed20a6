"""What the stores are asked at a scrape: each in bounded time, and all at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from django.db.models import Count, Sum
from django.utils import timezone

from ..conf import settings
from ..facts import (
    DatabaseFacts,
    RedisFacts,
    Sightings,
    WorkerFacts,
    database_facts,
    measures,
    redis_facts,
)
from ..health.asking import Asking, Spare, ask, ask_tables
from ..health.collecting import BOUND, brokers
from ..meter import Key, Sums
from ..models import DeadLetter, LetterTally, Outage, PausedQueue, RecoveryRun
from ..models.dead_letter import Status
from ..models.recovery_run import Outcome, RunStatus
from ..stores.brokers import Broker
from ..stores.guard import database_errors

MOST_ROWS = 2000  # of a kind; to count more takes longer than all the rest

_spare = Spare()
T = TypeVar("T")
Letters = Mapping[tuple[str, str], int]


@dataclass
class RedisAnswer:
    """What one Redis knows; ``seconds`` is how long that took."""

    facts: RedisFacts | None = None
    seconds: float = 0.0


@dataclass
class DatabaseAnswer:
    """What the tables know, filled in turn; all of it when ``seconds`` is more than 0."""

    sums: Mapping[Key, Sums] | None = None
    facts: DatabaseFacts | None = None
    alive: Sequence[WorkerFacts] | None = None
    paused: Sequence[str] = ()
    outages: set[str] = field(default_factory=set)  # servers that are away
    letters: Letters | None = None  # those that wait, by function and reason
    oldest_letter: datetime | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Answers:
    """All that came in time, and when that was."""

    brokers: Sequence[tuple[Broker, Sequence[str]]]
    redis: Mapping[str, RedisAnswer]
    database: DatabaseAnswer
    asked_at: datetime

    @property
    def is_database_up(self) -> bool:
        """Tell whether it has answered in time."""
        return self.database.seconds > 0


def answers(sightings: Sightings, patience: float = BOUND) -> Answers:
    """Ask all stores, and wait for *patience* (seconds) at most. Raises only what a mistake in the
    settings raises."""
    known = list(brokers())
    asked = {broker.address: _ask_redis(broker, names) for broker, names in known}
    database = _ask_database(sightings)
    for wait in (database.wait, *(each.wait for each in asked.values())):
        wait(min(patience, BOUND))
    found = {address: _in_time(each, RedisAnswer) for address, each in asked.items()}
    return Answers(known, found, _in_time(database, DatabaseAnswer), timezone.now())


def _in_time(asking: Asking[T], blank: Callable[[], T]) -> T:
    """A half of an answer may be changed while it is read, and would hide the other half."""
    return asking.found if asking.is_done and asking.error is None else blank()


def _ask_redis(broker: Broker, names: Sequence[str]) -> Asking[RedisAnswer]:
    def fill(answer: RedisAnswer) -> None:
        begun = time.perf_counter()
        answer.facts = redis_facts(broker.link, broker.address, names)
        answer.seconds = time.perf_counter() - begun

    return ask(f"metrics {broker.address}", RedisAnswer, fill)


def _ask_database(sightings: Sightings) -> Asking[DatabaseAnswer]:
    alias = settings.DATABASE

    def fill(answer: DatabaseAnswer) -> None:
        begun = time.perf_counter()
        with database_errors(alias):
            _fill(answer, alias, sightings)
        answer.seconds = time.perf_counter() - begun

    return ask_tables(alias, f"metrics {alias}", DatabaseAnswer, fill, spare=_spare)


def _fill(answer: DatabaseAnswer, alias: str, sightings: Sightings) -> None:
    answer.sums = measures(alias)
    answer.facts = facts = database_facts(alias, MOST_ROWS)
    answer.alive = sightings.alive(facts.workers, lease=settings.LEASE, now=timezone.now())
    answer.paused = sorted(PausedQueue.objects.using(alias).names())
    outages = Outage.objects.using(alias).lasting()
    answer.outages = set(outages.values_list("broker", flat=True)[:1000])
    answer.letters = _letters(alias)
    dead = DeadLetter.objects.using(alias).dead().order_by("died_at")
    answer.oldest_letter = dead.values_list("died_at", flat=True).first()
    answer.items, answer.runs = _recovery(alias)


def _letters(alias: str) -> Letters:
    """By their sums: there is no end of letters."""
    tally = LetterTally.objects.using(alias).filter(fingerprint="", status=Status.DEAD)
    sums = tally.order_by().values_list("handler", "reason").annotate(Sum("count"))
    return {(handler, reason): count for handler, reason, count in sums if count > 0}


def _recovery(alias: str) -> tuple[dict[str, int], dict[str, int]]:
    runs = RecoveryRun.objects.using(alias).order_by()
    sums = runs.aggregate(**{name: Sum(name) for name in Outcome.values})
    open_runs = runs.filter(status__in=(RunStatus.RUNNING, RunStatus.PAUSED))
    by_status = dict(open_runs.values_list("status").annotate(Count("pk")))
    return (
        {name: sums[name] or 0 for name in Outcome.values},
        {status: by_status.get(status, 0) for status in (RunStatus.RUNNING, RunStatus.PAUSED)},
    )
