"""ready_is_clean and drain_marks: a job can be claimed from one store at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings
from rq import Retry

from django_resilient_queue.exceptions import StoreAmbiguous, StoreError
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.recovery.drain import drain
from django_resilient_queue.recovery.rescue import rescue_claimed
from django_resilient_queue.stores.candidates import Candidates
from django_resilient_queue.stores.links import script
from example_project.servers import FaultyProxy, RedisServer
from tests.integration.rules.bench import (
    Clock,
    DrivenWorker,
    Keys,
    enqueue,
    failed,
    redis_away,
    row,
    state,
)

WAYS_BACK = ("released", "retried", "rescued")


def give_back(how: str, bob: DrivenWorker, other: DrivenWorker, clock: Clock) -> None:
    """Let a row that bob has claimed return to the table."""
    claim = bob.take()
    assert state() == "claimed"
    if how == "released":
        bob.shift.supply.release(claim)
    elif how == "retried":
        bob.end(claim, failed(claim, "bob"))
        bob.settle()
    else:  # bob dies
        other.lose_redis()
        for _ in range(6):
            clock.advance(2)
            other.beat()
        assert rescue_claimed(other.station) == 1


# ---- ready_is_clean ------------------------------------------------------------------------------


@pytest.mark.parametrize("outbox", [True, False])
def test_a_row_whose_push_may_have_been_applied_is_not_ready(
    outbox: bool, redis_server: RedisServer, transactional_db: None, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    enqueue("first")  # so that the scripts are known, and it is the push itself that hangs
    with redis_server.frozen():
        enqueue()
    assert state() == "dispatched"
    assert row().redis_copy


@pytest.mark.parametrize("how", WAYS_BACK)
def test_a_row_with_a_copy_in_redis_never_becomes_ready(
    how: str, ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue(retry=Retry(max=1))
    bob.lose_redis()
    give_back(how, bob, ann, clock)
    assert keys.queued() == ["job"]
    assert state() == "dispatched"
    assert row().redis_copy


@pytest.mark.parametrize("how", WAYS_BACK)
def test_a_row_without_a_copy_in_redis_becomes_ready_again(
    how: str, ann: DrivenWorker, bob: DrivenWorker, clock: Clock, redis_server: RedisServer
) -> None:
    with redis_away(redis_server):
        enqueue(retry=Retry(max=1))
        bob.lose_redis()
        give_back(how, bob, ann, clock)
    assert state() == "ready"
    assert not row().redis_copy


def test_a_row_whose_drain_may_have_been_applied_is_not_ready(
    ann: DrivenWorker, proxy: FaultyProxy, redis_server: RedisServer, keys: Keys
) -> None:
    with redis_away(redis_server):
        enqueue()
    ann.go_through(proxy.port)
    ann.come_home()
    ann.redis.link.call("SCRIPT", "LOAD", script("push").body)
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        drain(ann.station, 10)
    assert keys.queued() == ["job"]
    assert state() == "dispatched"


# ---- drain_marks ---------------------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL looks like from the inside."""


def test_a_drain_that_dies_right_after_its_push_leaves_no_row_that_the_database_may_execute(
    ann: DrivenWorker,
    bob: DrivenWorker,
    redis_server: RedisServer,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with redis_away(redis_server):
        enqueue()
    ann.come_home()
    push = ann.station.push

    def push_and_die(pushes: list[Any]) -> list[Any]:
        push(pushes)
        raise Killed

    monkeypatch.setattr(ann.station, "push", push_and_die)
    with pytest.raises(Killed):
        drain(ann.station, 10)
    assert keys.queued() == ["job"]
    bob.lose_redis()
    assert bob.claim() is None


def test_a_drain_marks_each_row_dispatched_before_redis_hears_of_it(
    ann: DrivenWorker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_away(redis_server):
        enqueue("one")
        enqueue("two")
    ann.come_home()
    seen: list[list[tuple[str, int]]] = []
    push = ann.station.push

    def look_and_push(pushes: list[Any]) -> list[Any]:
        with ThreadPoolExecutor(1) as elsewhere:  # on a connection of its own: what is committed
            seen.append(elsewhere.submit(_states).result())
        return push(pushes)

    monkeypatch.setattr(ann.station, "push", look_and_push)
    assert drain(ann.station, 10) == 2
    assert seen == [[("dispatched", 1), ("dispatched", 1)]]


def test_two_drains_at_once_push_each_row_once(
    ann: DrivenWorker, bob: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ids = [f"job-{number}" for number in range(20)]
    with redis_away(redis_server):
        for job_id in ids:
            enqueue(job_id)
    workers = (ann, bob)
    for worker in workers:
        worker.come_home()
    barrier = Barrier(2)

    def run(worker: DrivenWorker) -> int:
        try:
            barrier.wait(60)
            return drain(worker.station, 100)
        except StoreError:  # the database let the other one have the rows
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        pushed = list(pool.map(run, workers))
    assert sum(pushed) == 20
    assert sorted(keys.queued()) == sorted(ids)
    assert set(FallbackJob.objects.values_list("state", "version")) == {("dispatched", 1)}


def test_a_claim_takes_only_the_rows_that_its_update_has_won(
    bob: DrivenWorker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_away(redis_server):
        enqueue()
    bob.lose_redis()
    first = Candidates.first

    def claimed_meanwhile(*args: Any, **kwargs: Any) -> list[FallbackJob]:
        rows = first(*args, **kwargs)
        pks = [each.pk for each in rows]
        bob.table.rows.claim(pks, state="ready", worker_name="ann", token="hers")
        return rows

    monkeypatch.setattr(Candidates, "first", claimed_meanwhile)
    assert bob.claim() is None
    assert row().claimed_by == "ann"


def _states() -> list[tuple[str, int]]:
    try:
        return list(FallbackJob.objects.order_by("pk").values_list("state", "version"))
    finally:
        connections.close_all()
