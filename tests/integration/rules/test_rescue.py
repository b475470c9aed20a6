"""recheck, renew_by_id, rescue_asks and observed: whose job it is, and who is really gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rq.registry import StartedJobRegistry

from django_resilient_queue import get_queue
from django_resilient_queue.models import WorkerHeartbeat
from django_resilient_queue.recovery.rescue import rescue_claimed, rescue_started
from django_resilient_queue.stores.redis import ENTRY_TTL
from tests.integration.rules.bench import (
    QUEUE,
    Clock,
    DrivenWorker,
    Keys,
    announced_mode,
    enqueue,
    letters,
    row,
    state,
)
from tests.integration.rules.conftest import MakeWorker


def pass_a_lease(clock: Clock, *alive: DrivenWorker) -> None:
    """More than a lease goes by, in which only these workers write their heartbeats."""
    for _ in range(6):
        clock.advance(2)
        for worker in alive:
            worker.beat()


# ---- recheck -------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["redis", "database"])
def test_a_worker_that_slept_past_its_lease_gives_up_what_it_has_not_started(
    store: str, ann: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    if store == "redis":
        ann.come_home()
    else:
        ann.lose_redis()
    claim = ann.take()
    ann.shift.supply.waiting = [claim]

    clock.advance(11)
    assert ann.hand_over() == []
    assert ann.hand.is_empty
    assert keys.queued() == ["job"]
    assert keys.started() == []
    assert state() == "dispatched"


def test_a_claim_counts_from_when_it_was_asked_for(
    ann: DrivenWorker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    ann.come_home()
    run = ann.redis.link.run

    def answer_late(*args: Any) -> Any:
        answer = run(*args)
        clock.advance(11)
        return answer

    monkeypatch.setattr(ann.redis.link, "run", answer_late)
    ann.shift.supply.waiting = ann.shift.supply.claim()
    assert ann.hand_over() == []


def test_a_worker_that_slept_gives_back_nothing_that_another_has_taken_over(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.shift.supply.waiting = [ann.take()]
    pass_a_lease(clock, bob)
    assert rescue_started(bob.station) == 1
    bob.take()

    assert ann.hand_over() == []
    assert keys.queued() == []
    assert keys.started() == ["job"]


# ---- renew_by_id ---------------------------------------------------------------------------------


def test_a_row_that_its_live_worker_does_not_list_is_rescued(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    enqueue()
    ann.lose_redis()
    bob.lose_redis()
    ann.hand.drop(ann.take())  # the reply to the claim was lost
    for _ in range(3):
        ann.beat()
        bob.beat()
        rescue_claimed(bob.station)
        clock.advance(1)
    assert state() == "dispatched"


def test_a_row_that_its_live_worker_lists_is_left_to_it(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    enqueue()
    ann.lose_redis()
    bob.lose_redis()
    ann.take()
    for _ in range(15):
        ann.beat()
        bob.beat()
        assert rescue_claimed(bob.station) == 0
        clock.advance(1)
    assert state() == "claimed"


def test_a_row_is_rescued_from_a_worker_that_lists_another_claim_of_the_same_id(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    enqueue()
    ann.lose_redis()
    bob.lose_redis()
    ann.shift.supply.release(ann.take())
    old = ann.take()
    row_token = row().claim_token
    ann.table.rows.update(claim_token="of a claim whose reply was lost")
    assert ann.hand.in_flight() == [("job", row_token)]
    for _ in range(3):
        ann.beat()
        bob.beat()
        rescue_claimed(bob.station)
        clock.advance(1)
    assert old.token == row_token
    assert state() == "dispatched"


def test_a_claim_in_redis_that_its_live_worker_does_not_list_is_rescued(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.hand.drop(ann.take())  # ann was killed, and is back under her name
    for _ in range(3):
        ann.beat()
        bob.beat()
        rescue_started(bob.station)
        clock.advance(1)
    assert keys.queued() == ["job"]


def test_a_claim_whose_reply_was_lost_is_rescued_by_its_own_worker_after_a_lease(
    ann: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    ann.hand.drop(ann.take())
    assert rescue_started(ann.station) == 0
    pass_a_lease(clock, ann)
    assert rescue_started(ann.station) == 1
    assert keys.queued() == ["job"]


# ---- rescue_asks ---------------------------------------------------------------------------------


def test_a_rescue_in_redis_spares_what_a_live_worker_has_in_hand(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.take()
    ann.cut_from_redis()
    pass_a_lease(clock, ann, bob)
    assert rescue_started(bob.station) == 0
    assert keys.started() == ["job"]


@pytest.mark.parametrize("became", ["claimed", "finished"])
def test_a_rescue_in_redis_spares_what_the_database_executes_or_has_settled(
    became: str, ann: DrivenWorker, bob: DrivenWorker, make_worker: MakeWorker, clock: Clock
) -> None:
    enqueue()
    ann.come_home()
    ann.take()
    bob.lose_redis()
    pass_a_lease(clock, bob)  # ann is gone, and her started entry is still there
    claim = bob.take()
    if became == "finished":
        bob.end(claim)
        bob.settle()
    assert state() == became
    carol = make_worker("carol")
    # Redis holds the copy although carol is in mode redis: she told it before the row was claimed.
    carol.modes.mode, carol.modes.heartbeat.wrote_at = ann.modes.mode, clock()
    carol.station.watch.look()
    for _ in range(6):
        clock.advance(2)
        bob.hand.claims.clear()  # it is the row that speaks for the job, not bob's list
        bob.beat()
        carol.station.watch.look()
    assert rescue_started(carol.station) == 0


def test_a_rescue_in_redis_puts_back_what_nobody_speaks_for(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.take()
    pass_a_lease(clock, bob)
    assert rescue_started(bob.station) == 1
    assert keys.queued() == ["job"]


def test_rqs_own_cleaning_does_not_bury_what_a_live_worker_has_in_hand(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.take()
    ann.cut_from_redis()  # for longer than its entry lives
    [entry] = keys.redis.zrange(f"rq:wip:{QUEUE}", 0, -1)
    keys.redis.zadd(f"rq:wip:{QUEUE}", {entry: time.time() - ENTRY_TTL})
    pass_a_lease(clock, ann, bob)
    rescue_started(bob.station)

    StartedJobRegistry(queue=get_queue(QUEUE)).cleanup()
    assert keys.started() == ["job"]
    assert keys.field("status") == "started"


def test_a_job_is_not_buried_when_its_worker_settles_it_at_the_last_moment(
    ann: DrivenWorker,
    bob: DrivenWorker,
    clock: Clock,
    settings: Settings,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "RESCUE_LIMIT": 1}
    enqueue()
    ann.come_home()
    bob.come_home()
    keys.redis.hset("rq:job:job", "drq_rescues", 1)
    ann.end(ann.take())
    pass_a_lease(clock, bob)
    settle = bob.redis.settle

    def settle_late(*args: object) -> object:
        ann.settle()
        return settle(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(bob.redis, "settle", settle_late)
    rescue_started(bob.station)
    assert letters() == []
    assert state() == "no row"


# ---- observed ------------------------------------------------------------------------------------

Silence = Callable[[DrivenWorker, Clock, Settings], None]


def stopped(observer: DrivenWorker, clock: Clock, settings: Settings) -> None:
    clock.advance(60)


def without_the_database(observer: DrivenWorker, clock: Clock, settings: Settings) -> None:
    with observer.cut_from_database(settings):
        for _ in range(30):
            clock.advance(2)
            observer.modes._beat()


@pytest.mark.parametrize("silence", [stopped, without_the_database])
def test_time_in_which_an_observer_could_not_read_makes_nobody_stale(
    silence: Silence, ann: DrivenWorker, bob: DrivenWorker, clock: Clock, settings: Settings
) -> None:
    enqueue()
    ann.come_home()
    bob.lose_redis()
    silence(bob, clock, settings)
    bob.beat()  # before ann, who could not write either, has had her turn
    assert [seen.name for seen in bob.station.watch.live()] == ["ann"]
    assert bob.claim() is None
    assert not bob.station.watch.is_gone("ann")


def test_a_worker_is_stale_when_its_row_has_not_moved_for_a_lease_of_the_observers_time(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    enqueue()
    ann.come_home()
    bob.lose_redis()
    clock.advance(4)
    bob.beat()
    clock.advance(4)
    bob.beat()
    assert bob.claim() is None
    clock.advance(4)
    bob.beat()
    assert bob.station.watch.is_gone("ann")
    assert bob.take().job_id == "job"


@pytest.mark.parametrize("hours", [-12, 12])
def test_no_wall_clock_of_another_machine_decides_who_is_stale(
    hours: int, ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    ann.come_home()
    bob.lose_redis()
    for _ in range(10):
        clock.advance(2)
        ann.beat()
        rows = WorkerHeartbeat.objects.filter(name="ann")
        rows.update(seen_at=timezone.now() + timedelta(hours=hours))
        bob.beat()
    assert not bob.station.watch.is_gone("ann")
    pass_a_lease(clock, bob)
    assert bob.station.watch.is_gone("ann")
    assert announced_mode(ann) == "redis"
