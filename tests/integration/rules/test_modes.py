"""mode_first and lock: what a worker says of itself, before it does it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

import pytest
from django.db import connection, connections
from pytest_django import Settings

from django_resilient_queue.recovery.homecoming import tell_redis
from django_resilient_queue.recovery.station import Station
from example_project.servers import RedisServer
from tests.conftest import WaitUntil
from tests.integration.rules.bench import (
    Clock,
    DrivenWorker,
    Keys,
    announced_mode,
    enqueue,
    state,
)

T = TypeVar("T")


def elsewhere(act: Callable[[], T]) -> Future[T]:
    """Runs in a thread, hence on a database connection of its own."""

    def run() -> T:
        try:
            return act()
        finally:
            connections.close_all()

    with_thread = ThreadPoolExecutor(1)
    future = with_thread.submit(run)
    with_thread.shutdown(wait=False)
    return future


def waits_for_a_lock() -> bool:
    """Tell whether the database makes somebody wait; only PostgreSQL says so to everybody."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


def stop_after(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str) -> tuple[Event, Event]:
    """Hold whoever calls *method* at its end; the events: it is there, and it may go."""
    there, go = Event(), Event()
    original = getattr(owner, method)

    def held(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        there.set()
        assert go.wait(60)
        return answer

    monkeypatch.setattr(owner, method, held)
    return there, go


# ---- mode_first ----------------------------------------------------------------------------------


def test_a_worker_announces_mode_redis_before_redis_hears_anything(
    ann: DrivenWorker, bob: DrivenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    bob.lose_redis()
    bob.end(bob.take())
    bob.settle()

    committed = []
    run_all = ann.redis.link.run_all

    def listen(*args: Any) -> Any:
        committed.append(elsewhere(lambda: announced_mode(ann)).result())
        return run_all(*args)

    monkeypatch.setattr(ann.redis.link, "run_all", listen)
    assert ann.come_home()
    assert committed
    assert set(committed) == {"redis"}


def test_a_worker_that_starts_tells_redis_what_the_database_did_before_it_claims(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.end(bob.take())
    bob.settle()
    assert keys.queued() == ["job"]

    ann.come_home()
    assert ann.claim() is None
    assert keys.settled() == ["job"]
    assert state() == "no row"


def test_a_worker_that_could_not_tell_redis_everything_does_not_claim_there(
    ann: DrivenWorker, bob: DrivenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    bob.lose_redis()
    bob.end(bob.take())
    bob.settle()

    # Redis is lost again between the announcement and the first word of what the database did.
    settle_all = ann.redis.settle_all

    def lose(*args: Any, **kwargs: Any) -> Any:
        ann.cut_from_redis()
        return settle_all(*args, **kwargs)

    monkeypatch.setattr(ann.redis, "settle_all", lose)
    assert not ann.come_home()
    assert ann.claims_from != "redis"
    assert announced_mode(ann) == "database"


def test_a_worker_whose_heartbeat_has_lapsed_claims_nothing_until_it_has_told_redis_again(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    ann.come_home()
    enqueue()
    bob.lose_redis()
    assert bob.claim() is None  # as long as ann may claim it from Redis
    for _ in range(6):
        clock.advance(2)
        bob.beat()
    claim = bob.take()

    assert ann.claims_from != "redis"
    assert ann.claim() is None
    ann.beat()
    assert ann.claims_from == "redis"
    assert ann.claim() is None
    assert not keys.has()
    bob.end(claim)
    bob.settle()
    assert state() == "finished"


def test_a_worker_that_came_home_without_the_database_goes_the_whole_way_when_it_is_back(
    ann: DrivenWorker, bob: DrivenWorker, settings: Settings, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.end(bob.take())
    bob.settle()

    ann.lose_redis()
    with ann.cut_from_database(settings):
        ann.return_to_redis()
        assert ann.claims_from == "redis"
    ann.beat()  # the lease of the row that says mode database has not passed
    assert announced_mode(ann) == "redis"
    assert keys.settled() == ["job"]
    assert ann.claim() is None


def test_a_worker_that_loses_the_database_while_it_tells_redis_starts_again(
    ann: DrivenWorker,
    bob: DrivenWorker,
    settings: Settings,
    keys: Keys,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann.come_home()
    enqueue()
    bob.lose_redis()
    for _ in range(6):  # ann's heartbeat lapses
        clock.advance(2)
        bob.beat()
    bob.end(bob.take())
    bob.settle()

    cut = ann.cut_from_database(settings)
    announce = ann.modes._announce

    def announce_and_be_cut() -> bool:
        said = announce()
        cut.__enter__()
        return said

    with monkeypatch.context() as for_once:
        for_once.setattr(ann.modes, "_announce", announce_and_be_cut)
        assert not ann.come_home()
    cut.__exit__(None, None, None)

    ann.beat()
    assert ann.claim() is None
    assert keys.settled() == ["job"]


def test_a_redis_that_was_restarted_between_two_calls_is_a_return(
    ann: DrivenWorker,
    redis_server: RedisServer,
    bob: DrivenWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann.come_home()
    enqueue()
    epoch = ann.redis.epoch
    redis_server.kill()
    bob.lose_redis()
    redis_server.start()
    with redis_server.client() as client:  # as if its disk had kept all but the last writes
        client.set("drq:epoch", epoch)

    returns = []

    def listen(station: Station) -> None:
        returns.append(station.name)
        tell_redis(station)

    monkeypatch.setattr("django_resilient_queue.worker.modes.tell_redis", listen)
    assert ann.claim() is None
    assert returns == ["ann"]


# ---- lock ----------------------------------------------------------------------------------------


def test_a_claim_of_a_dispatched_row_waits_for_a_change_of_mode_and_then_takes_nothing(
    ann: DrivenWorker,
    bob: DrivenWorker,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    enqueue()
    bob.lose_redis()
    said, go_on = stop_after(monkeypatch, ann.modes.heartbeat, "write")
    change = elsewhere(ann.come_home)
    assert said.wait(60)  # ann has written mode redis and has not committed it

    attempt = elsewhere(bob.claim)
    wait_until(lambda: attempt.done() or waits_for_a_lock())
    go_on.set()
    assert change.result(20)
    assert attempt.result(20) is None
    assert state() == "dispatched"


def test_a_change_of_mode_waits_for_a_claim_and_then_withdraws_its_copy(
    ann: DrivenWorker,
    bob: DrivenWorker,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
    keys: Keys,
) -> None:
    enqueue()
    bob.lose_redis()
    claimed, go_on = stop_after(monkeypatch, bob.table.claiming, "_take_first")
    attempt = elsewhere(bob.claim)
    assert claimed.wait(60)  # bob has claimed the row and has not committed it

    change = elsewhere(ann.come_home)
    wait_until(lambda: change.done() or waits_for_a_lock())
    go_on.set()
    assert attempt.result(20) is not None
    assert change.result(20)
    assert ann.claim() is None
    assert not keys.has()


def test_a_claim_asks_under_the_lock_once_more_whether_a_worker_uses_redis(
    ann: DrivenWorker, bob: DrivenWorker
) -> None:
    enqueue()
    bob.lose_redis()
    ann.come_home()  # after bob's last look at the others
    assert bob.claim() is None
    assert state() == "dispatched"
