"""settle_again, known_only, settled_keeps and flight_to_end: the end of an attempt, told once."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings
from rq import Retry

from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.recovery.reconcile import reconcile
from django_resilient_queue.recovery.rescue import rescue_started
from django_resilient_queue.stores.pushes import Push
from example_project.servers import FaultyProxy, RedisServer
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


def freeze_until_rescued(frozen: DrivenWorker, other: DrivenWorker, clock: Clock) -> None:
    """Let *frozen* be silent for longer than its lease, and *other* put its jobs back."""
    for _ in range(6):
        clock.advance(2)
        other.beat()
    assert rescue_started(other.station) == 1


# ---- settle_again --------------------------------------------------------------------------------


def test_a_settle_that_finds_the_id_settled_goes_on_to_delete_the_row(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    enqueue()
    ann.come_home()
    bob.come_home()
    ann.end(ann.take())
    freeze_until_rescued(ann, bob, clock)
    bob.end(bob.take())
    bob.settling.tell_redis()  # and bob dies before it has told the database
    assert state() == "dispatched"

    ann.settle()
    assert state() == "no row"


def test_a_settle_whose_reply_was_lost_is_repeated_and_goes_on_to_delete_the_row(
    ann: DrivenWorker, proxy: FaultyProxy, settings: Settings, keys: Keys
) -> None:
    enqueue()
    ann.go_through(proxy.port)
    ann.come_home()
    ann.end(ann.take())
    with ann.cut_from_database(settings):
        proxy.drop_reply(b"EVALSHA", times=1)
        with pytest.raises(StoreError) as lost:
            ann.settling.tell_redis()
        ann.modes.lose(lost.value)
        assert keys.settled() == ["job"]

        ann.return_to_redis()
        ann.settle()
        assert ann.hand.ids() == {"job"}
    ann.beat()
    ann.settle()
    assert state() == "no row"
    assert ann.hand.is_empty


# ---- known_only ----------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["kept", "pruned"])
def test_a_failure_of_a_job_that_another_worker_has_finished_is_not_recorded(
    memory: str, ann: DrivenWorker, bob: DrivenWorker, clock: Clock, keys: Keys
) -> None:
    enqueue(result_ttl=0)
    ann.come_home()
    bob.come_home()
    claim = ann.take()
    freeze_until_rescued(ann, bob, clock)
    bob.end(bob.take())
    bob.settle()
    if memory == "pruned":
        keys.redis.delete("drq:settled")

    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    assert ann.hand.is_empty
    assert letters() == []
    assert state() == "no row"
    assert not keys.has()


def test_a_death_whose_reply_was_lost_still_gets_its_letter(
    ann: DrivenWorker, proxy: FaultyProxy, settings: Settings
) -> None:
    enqueue()
    ann.go_through(proxy.port)
    ann.come_home()
    claim = ann.take()
    ann.end(claim, failed(claim, "ann"))
    with ann.cut_from_database(settings):
        proxy.drop_reply(b"EVALSHA", times=1)
        with pytest.raises(StoreError) as lost:
            ann.settling.tell_redis()
        ann.modes.lose(lost.value)
        ann.return_to_redis()
        ann.settle()
    ann.beat()
    ann.settle()
    assert letters() == ["job"]
    assert state() == "no row"


def test_a_failure_is_recorded_where_redis_has_lost_the_job_and_its_row_is_there(
    ann: DrivenWorker, redis_server: RedisServer
) -> None:
    enqueue()
    ann.come_home()
    claim = ann.take()
    redis_server.flush()
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    assert letters() == ["job"]


def test_a_success_is_recorded_although_neither_store_knows_the_job_any_more(
    ann: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    enqueue()
    ann.come_home()
    claim = ann.take()
    redis_server.flush()
    ann.table.rows.all().delete()
    ann.end(claim)
    ann.settle()
    assert keys.settled() == ["job"]


# ---- settled_keeps -------------------------------------------------------------------------------


def finish_one(worker: DrivenWorker, job_id: str = "job") -> JobSnapshot:
    enqueue(job_id)
    snapshot = JobSnapshot.load(bytes(row(job_id).payload))
    worker.end(worker.take())
    worker.settle()
    assert state(job_id) == "no row"
    return snapshot


def push(worker: DrivenWorker, snapshot: JobSnapshot, deadline: float | None = None) -> str:
    [answer] = worker.redis.push(
        [Push(snapshot)], epoch="", deadline=deadline or worker.station.broker.deadline()
    )
    word: str = answer.word
    return word


def test_a_push_that_lands_after_its_job_has_ended_and_its_row_is_gone_is_refused(
    ann: DrivenWorker, keys: Keys
) -> None:
    ann.come_home()
    snapshot = finish_one(ann)
    assert push(ann, snapshot) == "settled"
    assert keys.queued() == []


def test_settled_ids_are_forgotten_by_age_alone(ann: DrivenWorker, keys: Keys) -> None:
    ann.come_home()
    finish_one(ann, "old")
    finish_one(ann, "young")
    now = time.time()
    for member, age in zip(keys.redis.zrange("drq:settled", 0, -1), (3700, 3500), strict=True):
        keys.redis.zadd("drq:settled", {member: now - age})
    finish_one(ann, "new")
    assert keys.settled() == ["young", "new"]


def test_the_age_of_settled_ids_is_measured_by_the_clock_of_redis_alone(
    ann: DrivenWorker, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.come_home()
    finish_one(ann, "one")
    ahead = time.time() + 7200  # a worker on a machine whose clock is wrong
    monkeypatch.setattr("django_resilient_queue.stores.redis.time.time", lambda: ahead)
    finish_one(ann, "two")
    assert keys.settled() == ["one", "two"]


def test_a_push_that_lands_after_its_deadline_is_refused_whatever_redis_remembers(
    ann: DrivenWorker, keys: Keys
) -> None:
    ann.come_home()
    snapshot = finish_one(ann)
    keys.redis.delete("drq:settled")
    now = float(keys.redis.time()[0])
    assert push(ann, snapshot, deadline=now - 1) == "expired"
    assert keys.queued() == []


@pytest.mark.parametrize("away", [1, 60])
def test_no_settled_id_is_forgotten_until_the_database_has_been_back_for_long_enough(
    away: float, ann: DrivenWorker, clock: Clock, settings: Settings, keys: Keys
) -> None:
    ann.come_home()
    finish_one(ann, "ended-meanwhile")
    [member] = keys.redis.zrange("drq:settled", 0, -1)
    keys.redis.zadd("drq:settled", {member: time.time() - 3700})
    with ann.cut_from_database(settings):
        ann.beat()
        clock.advance(away)
    ann.beat()
    finish_one(ann, "one")
    assert keys.settled() == ["ended-meanwhile", "one"]
    clock.advance(3700)
    ann.beat()
    finish_one(ann, "two")
    assert keys.settled() == ["one", "two"]


# ---- flight_to_end -------------------------------------------------------------------------------


def test_an_id_stays_in_the_in_flight_list_until_both_stores_have_been_told(
    ann: DrivenWorker,
) -> None:
    enqueue()
    ann.come_home()
    claim = ann.take()
    steps = [ann.hand.in_flight()]
    ann.end(claim)
    steps.append(ann.hand.in_flight())
    ann.settling.tell_redis()
    steps.append(ann.hand.in_flight())
    ann.settling.bring_rows_in_line()
    assert steps == [[("job", claim.token)]] * 3
    assert ann.hand.in_flight() == []


@pytest.mark.parametrize("ending", ["finished", "retried", "dead"])
def test_a_job_whose_end_only_redis_knew_is_not_pushed_again_while_its_worker_lives(
    ending: str,
    ann: DrivenWorker,
    bob: DrivenWorker,
    clock: Clock,
    redis_server: RedisServer,
    keys: Keys,
) -> None:
    enqueue(retry=Retry(max=1) if ending == "retried" else None)
    ann.come_home()
    bob.come_home()
    claim = ann.take()
    ann.end(claim, None if ending == "finished" else failed(claim, "ann"))
    ann.settling.tell_redis()
    redis_server.flush()
    bob.come_home()
    for _ in range(3):
        clock.advance(1)
        ann.modes._beat()
        bob.beat()
        look_now()
        reconcile(bob.station)
    assert keys.queued() == []

    ann.settling.bring_rows_in_line()
    assert state() == ("dispatched" if ending == "retried" else "no row")
