"""evict, versions, tombstone and attempts: what Redis is told of jobs that went on without it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings
from rq import Retry

from django_resilient_queue.exceptions import StoreRefused
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.recovery.drain import drain
from django_resilient_queue.recovery.pushing import decide, push_rows
from django_resilient_queue.recovery.reconcile import reconcile
from django_resilient_queue.recovery.rescue import rescue_started
from django_resilient_queue.stores.pushes import Push
from example_project.servers import RedisServer
from tests.integration.rules.bench import (
    Clock,
    DrivenWorker,
    Keys,
    enqueue,
    failed,
    letters,
    look_now,
    row,
    state,
)
from tests.integration.rules.conftest import MakeWorker


def push(worker: DrivenWorker, version: int, attempt: int = 0) -> str:
    """Send a push of the row of "job", as anybody might who decided so earlier; Redis's word."""
    snapshot = JobSnapshot.load(bytes(row().payload))
    [answer] = worker.station.push([Push(snapshot, version=version, attempt=attempt)])
    word: str = answer.word
    return word


def milliseconds(told: tuple[int, int]) -> float:
    """Redis's TIME, seconds and microseconds, as one number."""
    return told[0] * 1000 + told[1] / 1000


# ---- evict ---------------------------------------------------------------------------------------


def test_a_job_that_the_database_executes_loses_its_copy_when_a_worker_returns(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.take()
    assert keys.queued() == ["job"]

    ann.come_home()
    assert ann.claim() is None
    assert not keys.has()
    assert state() == "claimed"


def test_the_producers_own_late_push_finds_the_id_fenced(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.take()
    ann.come_home()
    assert push(ann, version=0) == "fenced"
    assert not keys.has()


def test_a_fence_outlives_every_push_that_it_is_meant_for_to_the_part_of_a_second(
    ann: DrivenWorker, bob: DrivenWorker, settings: Settings, keys: Keys
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "SETTLED_KEEP": 900.9}
    enqueue()
    bob.lose_redis()
    bob.take()
    before = keys.redis.time()
    assert ann.come_home()
    fence = f"drq:fence:job:{row().generation}"
    now, left = keys.redis.pipeline().time().pttl(fence).execute()  # one moment's
    assert milliseconds(now) + left >= milliseconds(before) + 900_900


def test_a_copy_that_another_live_worker_has_in_hand_is_left_to_it(
    ann: DrivenWorker, bob: DrivenWorker, make_worker: MakeWorker, clock: Clock, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    claim = ann.take()
    ann.beat()
    bob.lose_redis()
    for _ in range(6):  # ann is frozen for longer than its lease
        clock.advance(2)
        bob.beat()
    bob.take()

    carol = make_worker("carol")
    carol.come_home()
    assert keys.started() == ["job"]
    ann.end(claim)
    ann.settling.tell_redis()
    assert keys.settled() == ["job"]


def test_a_worker_that_returns_without_the_database_withdraws_what_it_executes_itself(
    ann: DrivenWorker, make_worker: MakeWorker, settings: Settings, keys: Keys
) -> None:
    enqueue()
    ann.lose_redis()
    ann.take()
    with ann.cut_from_database(settings):
        ann.return_to_redis()
        assert ann.claim() is None
        assert not keys.has()


# ---- versions ------------------------------------------------------------------------------------


def test_every_claim_and_every_decision_to_push_raises_the_version(
    ann: DrivenWorker, bob: DrivenWorker, redis_server: RedisServer, clock: Clock
) -> None:
    redis_server.kill()
    enqueue()
    versions = [row().version]
    bob.lose_redis()
    bob.shift.supply.release(bob.take())
    versions.append(row().version)

    redis_server.start()
    ann.come_home()
    assert drain(ann.station, 10) == 1
    versions.append(row().version)

    redis_server.flush()
    ann.come_home()
    look_now()
    reconcile(ann.station)
    clock.advance(1)
    bob.beat()
    ann.beat()
    look_now()
    reconcile(ann.station)
    versions.append(row().version)
    assert versions == [0, 1, 2, 3]


def test_redis_refuses_a_push_below_the_fence_and_takes_one_at_it(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.shift.supply.release(bob.take())
    claim = bob.take()  # of version 2
    ann.come_home()
    assert [push(ann, version=version) for version in (0, 1)] == ["fenced", "fenced"]
    assert not keys.has()
    assert push(ann, version=claim.version) == "pushed"


@pytest.mark.parametrize("by", ["reconcile", "a claim"])
def test_a_producer_marks_ready_only_a_row_that_nobody_has_touched(
    by: str, ann: DrivenWorker, bob: DrivenWorker
) -> None:
    enqueue(retry=Retry(max=1))
    snapshot = JobSnapshot.load(bytes(row().payload))
    if by == "reconcile":
        ann.come_home()
        push_rows(ann.station, decide(ann.station, [row()]))
    else:
        bob.lose_redis()
        claim = bob.take()
        bob.end(claim, failed(claim, "bob"))
        bob.settle()
    assert state() == "dispatched"
    ann.table.mark_ready([snapshot])  # the producer hears only now that its push was refused
    assert state() == "dispatched"


def test_a_drain_whose_push_was_refused_gives_back_only_what_nobody_has_touched_since(
    ann: DrivenWorker,
    bob: DrivenWorker,
    redis_server: RedisServer,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis_server.kill()
    enqueue()
    redis_server.start()
    ann.come_home()
    bob.come_home()

    def push_late(pushes: list[Push]) -> list[Any]:
        push_rows(bob.station, decide(bob.station, [row()]))
        return [StoreRefused(ConnectionError("refused"))] * len(pushes)

    monkeypatch.setattr(ann.station, "push", push_late)
    with pytest.raises(StoreRefused):
        drain(ann.station, 10)
    assert keys.queued() == ["job"]
    assert state() == "dispatched"


# ---- tombstone -----------------------------------------------------------------------------------


def test_a_death_with_a_copy_in_redis_leaves_a_finished_row_until_redis_has_been_told(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    claim = bob.take()
    bob.end(claim, failed(claim, "bob"))
    bob.settle()
    assert letters() == ["job"]
    assert state() == "finished"
    assert keys.queued() == ["job"]

    ann.come_home()
    assert ann.claim() is None
    assert state() == "no row"
    assert keys.settled() == ["job"]
    assert letters() == ["job"]


# ---- attempts ------------------------------------------------------------------------------------


def test_a_push_replaces_a_copy_of_an_older_attempt_and_skips_one_as_new(
    ann: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    words = [push(ann, version=1, attempt=attempt) for attempt in (0, 1, 1, 0)]
    assert words == ["known", "pushed", "known", "known"]
    assert keys.queued() == ["job"]
    assert keys.field("drq_attempt") == "1"


def test_a_retry_in_the_database_replaces_the_copy_before_a_worker_claims_from_redis(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue(retry=Retry(max=1))
    bob.lose_redis()
    claim = bob.take()
    bob.end(claim, failed(claim, "bob"))
    bob.settle()
    assert keys.field("drq_attempt") == "0"

    ann.come_home()
    assert ann.take().attempt == 1
    assert ann.claim() is None


def test_reconcile_replaces_the_copy_of_an_attempt_that_the_database_has_settled(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue(retry=Retry(max=1))
    ann.come_home()
    bob.come_home()
    claim = ann.take()
    ann.cut_from_redis()
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    assert (row().attempt, keys.field("drq_attempt")) == (1, "0")

    reconcile(bob.station)
    assert keys.started() == []
    assert keys.queued() == ["job"]
    assert bob.take().attempt == 1


def test_a_rescue_leaves_the_copy_of_an_older_attempt_to_reconcile(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue(retry=Retry(max=1))
    ann.come_home()
    bob.come_home()
    claim = ann.take()
    ann.cut_from_redis()
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    for _ in range(6):  # ann dies
        clock.advance(2)
        bob.beat()
    assert rescue_started(bob.station) == 0
    assert keys.queued() == []
