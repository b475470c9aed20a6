"""both_tried, tx_waits, backfill and generation: how a job enters, and enters again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError
from pytest_django import Settings
from rq import Retry

from django_resilient_queue.exceptions import StoresUnavailableError
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.recovery.backfill import backfill
from django_resilient_queue.recovery.reconcile import reconcile
from django_resilient_queue.stores.pushes import Push
from example_project.servers import RedisServer
from tests.enqueueing import database_away, rolled_back
from tests.integration.rules.bench import (
    DrivenWorker,
    Keys,
    enqueue,
    failed,
    letters,
    look_now,
    producer,
    redis_away,
    row,
    state,
)


def push(worker: DrivenWorker, snapshot: JobSnapshot, **how: Any) -> str:
    [answer] = worker.station.push([Push(snapshot, **how)])
    word: str = answer.word
    return word


def snapshot_of_row(job_id: str = "job") -> JobSnapshot:
    return JobSnapshot.load(bytes(row(job_id).payload))


@contextmanager
def no_rows_can_be_written() -> Iterator[None]:
    """Within a transaction, too: each INSERT into the table of jobs is refused."""

    def refuse(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.startswith("INSERT") and FallbackJob._meta.db_table in sql:
            raise OperationalError("on purpose")
        return execute(sql, *args)

    with connection.execute_wrapper(refuse):
        yield


# ---- both_tried ----------------------------------------------------------------------------------


def test_an_open_circuit_does_not_refuse_a_job_that_redis_would_take(
    redis_server: RedisServer, transactional_db: None, settings: Settings, keys: Keys
) -> None:
    producer().breaker.trip()
    with database_away(settings):
        enqueue()
    assert keys.queued() == ["job"]
    assert keys.unprotected() == {"job"}


def test_an_open_circuit_does_not_lose_a_job_of_a_transaction_whose_row_was_refused(
    redis_server: RedisServer, transactional_db: None, keys: Keys
) -> None:
    producer().breaker.trip()
    with transaction.atomic(), no_rows_can_be_written():
        enqueue()
    assert keys.queued() == ["job"]


def test_a_job_is_refused_only_by_both_stores(
    redis_server: RedisServer, transactional_db: None, settings: Settings, keys: Keys
) -> None:
    producer().breaker.trip()
    with (
        redis_away(redis_server),
        database_away(settings),
        pytest.raises(StoresUnavailableError) as refused,
    ):
        enqueue()
    assert "Redis: ConnectionError" in str(refused.value)
    assert "database: OperationalError" in str(refused.value)
    assert state() == "no row"


# ---- tx_waits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("circuit", ["closed", "open"])
@pytest.mark.parametrize("insert", ["applied", "refused"])
def test_a_job_of_a_transaction_that_rolls_back_never_reaches_redis(
    insert: str, circuit: str, redis_server: RedisServer, transactional_db: None, keys: Keys
) -> None:
    if circuit == "open":
        producer().breaker.trip()
    with rolled_back():
        if insert == "applied":
            enqueue()
        else:
            with no_rows_can_be_written():
                enqueue()
        assert not keys.has()
    assert not keys.has()
    assert state() == "no row"


def test_inside_a_transaction_the_push_waits_for_the_commit_although_the_insert_failed(
    redis_server: RedisServer, transactional_db: None, keys: Keys
) -> None:
    with transaction.atomic():
        with no_rows_can_be_written():
            enqueue()
        assert keys.queued() == []
    assert keys.queued() == ["job"]
    assert keys.unprotected() == {"job"}


# ---- backfill ------------------------------------------------------------------------------------


def test_a_job_that_was_pushed_without_a_row_survives_the_loss_of_redis_once_it_is_backfilled(
    ann: DrivenWorker, settings: Settings, redis_server: RedisServer, keys: Keys
) -> None:
    with database_away(settings):
        enqueue()
    assert keys.unprotected() == {"job"}
    ann.come_home()
    assert backfill(ann.station) == 1
    assert state() == "dispatched"
    assert keys.unprotected() == set()

    redis_server.flush()
    assert ann.claim() is None  # finds another epoch, and comes home
    look_now()
    reconcile(ann.station)
    assert keys.queued() == ["job"]


def test_a_backfilled_row_has_the_attempt_that_redis_is_at(
    ann: DrivenWorker, settings: Settings
) -> None:
    with database_away(settings):
        enqueue(retry=Retry(max=1))
    ann.come_home()
    claim = ann.take()
    assert claim.bare
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    backfill(ann.station)
    assert (state(), row().attempt) == ("dispatched", 1)


@pytest.mark.parametrize("ending", ["finished", "dead"])
def test_a_job_that_ended_before_its_backfill_gets_no_row_and_is_not_listed_for_ever(
    ending: str, ann: DrivenWorker, settings: Settings, keys: Keys
) -> None:
    with database_away(settings):
        enqueue()
    ann.come_home()
    claim = ann.take()
    ann.end(claim, None if ending == "finished" else failed(claim, "ann"))
    ann.settle()
    assert keys.unprotected() == set()
    assert backfill(ann.station) == 0
    assert state() == "no row"


# ---- generation ----------------------------------------------------------------------------------


def finish_one(worker: DrivenWorker) -> JobSnapshot:
    """Run "job" to its end; returns what was enqueued."""
    enqueue()
    snapshot = snapshot_of_row()
    worker.end(worker.take())
    worker.settle()
    assert state() == "no row"
    return snapshot


def test_an_id_may_be_enqueued_again_although_it_is_settled_and_runs_again(
    ann: DrivenWorker, keys: Keys
) -> None:
    ann.come_home()
    first = finish_one(ann)
    enqueue()
    assert keys.queued() == ["job"]
    assert ann.take().snapshot.generation != first.generation


def test_an_id_may_be_enqueued_again_although_it_is_fenced(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    claim = bob.take()
    ann.come_home()  # fences the id
    bob.end(claim)
    bob.settle()
    enqueue()
    assert keys.queued() == ["job"]
    ann.come_home()  # with whatever is left to be told of the first
    assert ann.claim() is not None


@pytest.mark.parametrize("store", ["redis", "redis, since lost", "database"])
def test_the_end_of_the_first_run_of_an_id_leaves_the_second_alone(
    store: str, ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue()
    if store == "database":
        ann.lose_redis()
    else:
        ann.come_home()
    claim = ann.take()
    enqueue()
    second = row().generation
    if store == "redis, since lost":
        ann.lose_redis()
    ann.end(claim)
    ann.settle()
    assert state() == "dispatched"
    assert row().generation == second != claim.snapshot.generation
    bob.come_home()
    assert bob.take().snapshot.generation == second


def test_a_return_takes_no_copy_of_the_second_run_of_an_id_for_one_of_the_first(
    ann: DrivenWorker, bob: DrivenWorker, settings: Settings, keys: Keys
) -> None:
    enqueue()
    bob.lose_redis()
    bob.take()
    with database_away(settings):
        enqueue()  # so that the row is still that of the first
    ann.come_home()
    assert keys.queued() == ["job"]
    assert ann.take().snapshot.generation != row().generation


def test_the_death_of_the_first_run_of_an_id_does_not_hide_that_of_the_second(
    ann: DrivenWorker,
) -> None:
    ann.come_home()
    for _ in range(2):
        enqueue()
        claim = ann.take()
        ann.end(claim, failed(claim, "ann"))
        ann.settle()
    assert letters() == ["job", "job"]


def test_a_late_push_of_the_first_run_of_an_id_does_not_replace_the_second(
    ann: DrivenWorker, keys: Keys
) -> None:
    ann.come_home()
    first = finish_one(ann)
    enqueue()
    second = keys.field("drq_generation")
    assert push(ann, first, attempt=1) == "settled"
    assert keys.field("drq_generation") == second
    assert keys.queued() == ["job"]


def test_what_redis_is_told_of_the_first_run_of_an_id_does_not_touch_the_second(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue()
    bob.lose_redis()
    bob.end(bob.take())
    bob.settle()
    assert state() == "finished"
    settle_all = ann.redis.settle_all

    def enqueue_meanwhile(*args: Any, **kwargs: Any) -> Any:
        verdicts = settle_all(*args, **kwargs)
        enqueue()
        FallbackJob.objects.update(state="finished")  # executed from the database, as fast
        return verdicts

    monkeypatch.setattr(ann.redis, "settle_all", enqueue_meanwhile)
    ann.come_home()
    assert state() == "finished"  # kept until Redis has been told of it as well
