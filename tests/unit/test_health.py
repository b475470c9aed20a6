"""Promises of the parts of the health report that need no server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_resilient_queue.conf import settings
from django_resilient_queue.facts import QueueCounts, Sightings, WorkerFacts
from django_resilient_queue.health import HealthReport, Status, asking
from django_resilient_queue.health.reasons import reasons_for
from django_resilient_queue.health.report import (
    BrokerHealth,
    OutageHealth,
    QueueHealth,
    StoreHealth,
)
from tests.conftest import poll

NOW = datetime(2030, 1, 1, tzinfo=UTC)
UP, AWAY = StoreHealth(True, 0.001), StoreHealth(False, cause="refused", away_since=NOW)
ANN = WorkerFacts("ann", "r", "redis", frozenset(["q"]), NOW)


def broker(name: str = "r", store: StoreHealth = UP, *, refusing: bool = False) -> BrokerHealth:
    return BrokerHealth(name, store, 0, "open" if refusing else "closed", refusing)


def a_queue(**values: Any) -> QueueHealth:
    empty = QueueCounts()
    return replace(QueueHealth("q", "r", empty, empty, 0, None, 1, False), **values)


HEALTHY = HealthReport(
    status=Status.HEALTHY,
    reasons=(),
    checked_at=NOW,
    brokers=[broker()],
    database=UP,
    queues=[a_queue()],
    workers=[ANN],
    is_falling_back=False,
    rows={},
    rows_are_capped=False,
    oldest_row=None,
    look_due=None,
    reconcilers={},
    dead_letters={"total": 0, "oldest": None},
    last_outage=None,
    open_outages=(),
    paused=(),
    is_suspended=False,
    unprotected=0,
    counts={},
    loss_paths=(),
)
LONG_AGO = NOW - timedelta(days=2)
OLD_OUTAGE = OutageHealth("r", LONG_AGO, None, "", 0, 0)


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"brokers": [broker(store=AWAY)]}, "redis_away", "degraded"),
        ({"database": AWAY}, "database_away", "degraded"),
        ({"database": replace(AWAY, away_since=LONG_AGO)}, "database_long_away", "critical"),
        (
            {"brokers": [broker(store=AWAY)], "open_outages": [OLD_OUTAGE]},
            "redis_long_away",
            "critical",
        ),
        ({"brokers": [broker(store=AWAY)], "database": AWAY}, "stores_away", "down"),
        (
            {"brokers": [broker(), broker("s", AWAY)], "database": AWAY},
            "some_refused",
            "critical",
        ),
        ({"brokers": [broker(refusing=True)]}, "circuit_open", "degraded"),
        ({"open_outages": [OLD_OUTAGE]}, "outage_open", "degraded"),
        ({"untold": ["The database"]}, "incomplete", "degraded"),
        ({"workers": []}, "no_worker", "critical"),
        ({"queues": [a_queue(workers=0)]}, "queue_unserved", "degraded"),
        ({"queues": [a_queue(workers=0, waiting=1)]}, "queue_stuck", "critical"),
        (
            {"queues": [a_queue(workers=0, waiting=1, is_paused=True)]},
            "queue_unserved",
            "degraded",
        ),
        ({"queues": [a_queue(oldest=NOW - timedelta(seconds=301))]}, "queue_late", "degraded"),
        ({"queues": [a_queue(database=QueueCounts(1001))]}, "backlog", "degraded"),
        ({"oldest_row": NOW - timedelta(seconds=301)}, "backlog_late", "degraded"),
        ({"unprotected": 101}, "unprotected", "degraded"),
        ({"look_due": NOW - timedelta(seconds=301)}, "reconcile_late", "degraded"),
        ({"dead_letters": {"total": 11, "oldest": None}}, "dead_letters", "degraded"),
        (
            {"dead_letters": {"total": 1, "oldest": {"days": 1.1}}},
            "dead_letter_old",
            "degraded",
        ),
    ],
)
def test_each_rule_has_a_code_and_a_status(changes: dict[str, Any], code: str, status: str) -> None:
    reasons = reasons_for(replace(HEALTHY, **changes), settings.health_limits())
    assert [(each.code, each.status.value) for each in reasons] == [(code, status)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"workers": None, "queues": [a_queue(workers=None, waiting=5)]},
        {"queues": [a_queue(is_paused=True, waiting=5)], "paused": ["q"]},
        {"is_suspended": True},
        {"queues": [a_queue(oldest=NOW - timedelta(seconds=300))]},
        {"queues": [a_queue(database=QueueCounts(1000))], "unprotected": 100},
        {"look_due": NOW + timedelta(seconds=60)},
        {"open_outages": [replace(OLD_OUTAGE, broker="another")]},
    ],
)
def test_what_is_no_reason(changes: dict[str, Any]) -> None:
    """Neither what nobody knows, nor what somebody wants, nor a limit that is just kept."""
    assert reasons_for(replace(HEALTHY, **changes), settings.health_limits()) == []


def test_rows_are_not_late_while_redis_is_away() -> None:
    """Nobody can compare them then."""
    report = replace(HEALTHY, look_due=LONG_AGO, brokers=[broker(store=AWAY)])
    codes = [each.code for each in reasons_for(report, settings.health_limits())]
    assert codes == ["redis_away"]


def test_the_worst_reason_comes_first() -> None:
    """Readers stop early."""
    report = replace(HEALTHY, unprotected=500, workers=[])
    codes = [each.code for each in reasons_for(report, settings.health_limits())]
    assert codes == ["no_worker", "unprotected"]


# ---- workers that live -------------------------------------------------------------------------


class Watcher:
    """Looks at one worker, by a clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sightings = Sightings(clock=lambda: self.time)

    def sees(self, beat: str, *, after: float = 0, written: float = 0) -> bool:
        """*after* seconds, by a row that says it was written *written* seconds before NOW."""
        self.time += after
        row = replace(ANN, beat=beat, seen_at=NOW - timedelta(seconds=written))
        return bool(self.sightings.alive([row], lease=10, now=NOW))


def test_the_first_look_trusts_the_wall_clock() -> None:
    """There is nothing else."""
    assert Watcher().sees("1", written=9)
    assert not Watcher().sees("1", written=11)


def test_a_heartbeat_that_moves_is_alive_whatever_its_clock_says() -> None:
    """For a lease after the move, too."""
    watcher = Watcher()
    assert not watcher.sees("1", written=3600)
    assert watcher.sees("2", after=5, written=3595)
    assert watcher.sees("2", after=5, written=3595)
    assert not watcher.sees("2", after=5, written=3595)


def test_a_heartbeat_that_has_not_moved_for_a_lease_is_dead_whatever_its_clock_says() -> None:
    """A worker whose clock was ahead would else live on for as long."""
    watcher = Watcher()
    assert watcher.sees("1", written=-5)
    assert not watcher.sees("1", after=10, written=-5)


def test_a_move_that_may_be_long_ago_proves_nothing() -> None:
    """It happened some time between two looks."""
    watcher = Watcher()
    watcher.sees("1", written=3600)
    assert not watcher.sees("2", after=60, written=3600)


# ---- asking ------------------------------------------------------------------------------------


class Answering:
    """A store that answers when a test lets it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked = 0

    def fill(self, found: list[str]) -> None:
        self.asked += 1
        found.append("first")
        self.gate.wait(60)
        found.append("second")

    def ask(self) -> asking.Asking[list[str]]:
        return asking.ask("test", list, self.fill)


@pytest.fixture
def store() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.gate.set()
    poll(lambda: all(each.is_done for each in asking._hanging.get("test", ())))
    asking._hanging.clear()


def test_what_was_answered_in_time_is_there(store: Answering) -> None:
    """The rest is not waited for."""
    asked = store.ask()
    assert not asked.wait(0.1)
    assert asked.found == ["first"]


def test_many_who_ask_share_one_question(store: Answering) -> None:
    """A load balancer must not add to the load."""
    asked = store.ask()
    asked.wait(0.05)
    assert store.ask() is asked
    assert store.asked == 1
    store.gate.set()
    assert asked.wait(60)
    assert store.ask() is not asked


def test_a_silent_store_is_asked_again_later_and_later_and_not_for_ever(
    store: Answering,
) -> None:
    """A thread can't be ended, so there is a limit to them."""

    def after(seconds: float) -> int:
        for each in asking._hanging["test"]:
            each.began -= seconds
        store.ask()
        return len(asking._hanging["test"])

    store.ask()
    assert [after(6), after(6), after(6), after(20)] == [2, 2, 3, 4]
    assert [after(10_000) for _ in range(8)][-1] == 8


def test_an_error_ends_the_question() -> None:
    """And is kept for who judges it."""

    def fail(found: list[str]) -> None:
        raise ValueError("no")

    asked = asking.ask("failing", list, fail)
    assert asked.wait(60)
    assert isinstance(asked.error, ValueError)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_threads(store: Answering) -> None:
    """They are not there."""
    asked = store.ask()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if store.ask() is not asked else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
