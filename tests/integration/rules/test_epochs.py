"""epoch_push: what was meant for a Redis that has lost its data does not reach the new one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rq import Retry

from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.recovery.drain import drain
from django_resilient_queue.recovery.reconcile import reconcile
from django_resilient_queue.stores.pushes import Push, PushRefused
from example_project.servers import RedisServer
from tests.integration.rules.bench import (
    DrivenWorker,
    Keys,
    enqueue,
    failed,
    look_now,
    producer,
    redis_away,
    row,
    state,
)


def begin_another_epoch(server: RedisServer) -> None:
    """What a FLUSHALL and the first worker that comes home leave."""
    server.flush()
    with server.client() as client:
        client.set("drq:epoch", "another")


def test_a_push_of_an_earlier_epoch_is_refused(
    ann: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ann.come_home()
    enqueue()
    late = Push(JobSnapshot.load(bytes(row().payload)))
    ann.end(ann.take())
    ann.settle()
    begin_another_epoch(redis_server)  # with the old one go the settled ids
    [answer] = ann.station.push([late])
    assert isinstance(answer, PushRefused)
    assert keys.queued() == []


def test_a_producers_push_of_an_earlier_epoch_leaves_the_job_to_the_database(
    redis_server: RedisServer, transactional_db: None, keys: Keys
) -> None:
    enqueue("first")
    begin_another_epoch(redis_server)
    enqueue()
    assert state() == "ready"
    assert keys.queued() == []
    enqueue("third")  # the refusal has told the producer of the new epoch
    assert keys.queued() == ["third"]


def test_a_worker_claims_nothing_of_an_epoch_that_it_has_not_come_home_to(
    ann: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ann.come_home()
    enqueue("old")
    later = timezone.now() + timedelta(hours=1)
    FallbackJob.objects.update(check_at=later, checks=3)
    redis_server.flush()
    producer().epoch = ""  # another producer, which knows no epoch yet
    enqueue("new")

    assert ann.claim() is None
    assert ann.take().job_id == "new"
    reconcile(ann.station)  # the change of epoch has brought its time
    assert keys.queued() == ["old"]


def test_a_drain_into_a_redis_of_another_epoch_leaves_the_row_ready_and_is_a_return(
    ann: DrivenWorker, bob: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    with redis_away(redis_server):
        enqueue()
    ann.come_home()
    begin_another_epoch(redis_server)
    bob.come_home()
    with pytest.raises(PushRefused) as refused:
        drain(ann.station, 10)
    assert state() == "ready"

    ann.modes.lose(refused.value)
    assert ann.redis.epoch == "another"
    assert drain(ann.station, 10) == 1
    assert keys.queued() == ["job"]


def test_reconcile_finds_another_epoch_by_itself_while_its_worker_is_busy(
    ann: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ann.come_home()
    enqueue()
    begin_another_epoch(redis_server)
    look_now()
    with pytest.raises(PushRefused) as refused:
        reconcile(ann.station)
    ann.modes.lose(refused.value)
    look_now()
    reconcile(ann.station)
    assert keys.queued() == ["job"]


def test_a_worker_that_comes_home_to_another_epoch_pushes_its_retries_in_the_new_one(
    ann: DrivenWorker, bob: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ann.come_home()
    enqueue(retry=Retry(max=1))
    claim = ann.take()
    ann.cut_from_redis()
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    begin_another_epoch(redis_server)
    ann.return_to_redis()
    assert keys.queued() == ["job"]


# ---- what reconcile concludes from what it does not find -----------------------------------------


def see_in_redis(worker: DrivenWorker, job_id: str) -> None:
    look_now(job_id)
    reconcile(worker.station)
    assert row(job_id).checks == 1


def test_reconcile_does_not_take_what_a_flush_took_for_deleted_by_somebody(
    ann: DrivenWorker, redis_server: RedisServer, keys: Keys
) -> None:
    ann.come_home()
    enqueue("old")
    see_in_redis(ann, "old")
    redis_server.flush()
    producer().epoch = ""
    enqueue("new")

    look_now("old")
    with pytest.raises(PushRefused):  # before ann, who is busy with a job, claims again
        reconcile(ann.station)
    assert state("old") == "dispatched"
    ann.come_home()
    look_now("old")
    reconcile(ann.station)
    assert sorted(keys.queued()) == ["new", "old"]


def test_reconcile_does_not_vouch_for_a_redis_that_another_worker_has_found_to_be_new(
    ann: DrivenWorker, bob: DrivenWorker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.come_home()
    enqueue()
    look_now()
    look = ann.redis.look

    def look_and_be_slow(rows: Any) -> list[str]:
        words = look(rows)
        begin_another_epoch(redis_server)
        bob.come_home()
        return words

    monkeypatch.setattr(ann.redis, "look", look_and_be_slow)
    reconcile(ann.station)
    assert row().checks == 0
    assert row().check_at <= timezone.now()


def test_reconcile_takes_what_is_gone_from_a_redis_that_lost_nothing_for_deleted(
    ann: DrivenWorker,
) -> None:
    ann.come_home()
    job = enqueue()
    see_in_redis(ann, "job")
    job.delete()
    look_now()
    reconcile(ann.station)
    assert state() == "no row"
