"""Slots of rq's rate limits: held as long as the job runs, wherever it runs, and no longer."""

from __future__ import annotations

from typing import Any

import pytest
from rq.job import Job
from rq.rate_limit import RateLimit, RateLimitRegistry

from django_resilient_queue import get_queue
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.recovery import followups
from django_resilient_queue.recovery.followups import follow_up
from django_resilient_queue.recovery.homecoming import tell_results
from django_resilient_queue.recovery.reconcile import reconcile
from django_resilient_queue.recovery.rescue import rescue_claimed
from example_project.servers import RedisServer
from tests.integration.rules.bench import (
    QUEUE,
    Clock,
    DrivenWorker,
    Keys,
    enqueue,
    failed,
    look_now,
    row,
    state,
)

LIMIT = RateLimit("api", concurrency=1)


def slots(keys: Keys) -> RateLimitRegistry:
    return RateLimitRegistry("api", keys.redis)


def holders(keys: Keys) -> list[str]:
    """Who has a slot after rq's own cleaning."""
    slots(keys).cleanup()
    return slots(keys).get_allowed_job_ids()


def test_a_job_that_the_database_executes_keeps_its_slot_when_a_worker_returns(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys
) -> None:
    enqueue("one", rate_limit=LIMIT)
    enqueue("two", rate_limit=LIMIT)
    bob.lose_redis()
    claim = bob.take()
    ann.come_home()
    assert not keys.has("one")
    assert holders(keys) == ["one"]
    assert ann.claim() is None

    bob.end(claim)
    bob.settle()
    tell_results(ann.station)
    follow_up(ann.station)
    assert holders(keys) == ["two"]
    assert ann.take().job_id == "two"


def test_a_job_that_redis_never_saw_holds_a_slot_there_as_well(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys, redis_server: RedisServer
) -> None:
    redis_server.kill()
    enqueue("one", rate_limit=LIMIT, result_ttl=0)
    bob.lose_redis()
    claim = bob.take()
    redis_server.start()
    ann.come_home()
    enqueue("two", rate_limit=LIMIT)
    assert holders(keys) == ["one"]

    bob.end(claim)
    bob.settle()
    tell_results(ann.station)
    follow_up(ann.station)
    assert holders(keys) == ["two"]


def test_a_job_that_is_pushed_again_does_not_wait_for_its_own_slot(
    ann: DrivenWorker, bob: DrivenWorker, keys: Keys, clock: Clock
) -> None:
    enqueue("one", rate_limit=LIMIT)
    bob.lose_redis()
    bob.take()
    ann.come_home()
    for _ in range(8):  # bob is gone
        clock.advance(2)
        ann.beat()
    rescue_claimed(ann.station)
    assert state("one") == "dispatched"
    for _ in range(4):
        look_now("one")
        reconcile(ann.station)
        clock.advance(1)
        ann.beat()
    assert holders(keys) == ["one"]
    assert ann.take().job_id == "one"


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_running_job_that_is_deleted_frees_its_slot_when_it_ends(
    ann: DrivenWorker, keys: Keys, ends: str
) -> None:
    enqueue("one", rate_limit=LIMIT)
    enqueue("two", rate_limit=LIMIT)
    ann.come_home()
    claim = ann.take()
    Job.fetch("one", connection=keys.redis).delete()
    assert holders(keys) == ["one"]

    ann.end(claim, failed(claim, "ann") if ends == "badly" else None)
    ann.settle()
    follow_up(ann.station)
    assert slots(keys).get_allowed_job_ids() == ["two"]


def test_an_end_that_is_noted_while_another_of_the_id_is_seen_to_is_not_forgotten(
    ann: DrivenWorker, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.come_home()
    enqueue("one", rate_limit=LIMIT)
    ann.end(ann.take())
    ann.settle()
    see_to = followups._follow_up

    def again_meanwhile(*args: Any) -> None:
        monkeypatch.setattr(followups, "_follow_up", see_to)
        see_to(*args)
        enqueue("one", rate_limit=LIMIT)
        ann.end(ann.take())
        ann.settle()

    monkeypatch.setattr(followups, "_follow_up", again_meanwhile)
    follow_up(ann.station)
    follow_up(ann.station)
    assert slots(keys).get_allowed_job_ids() == []


def test_an_id_that_is_used_again_gives_up_the_slot_of_its_former_limit(
    ann: DrivenWorker, keys: Keys
) -> None:
    ann.come_home()
    enqueue("one", rate_limit=LIMIT)
    ann.end(ann.take())
    ann.settle()
    FallbackJob.objects.all().delete()
    get_queue(QUEUE).enqueue(len, "", job_id="one", rate_limit=RateLimit("other", 1))
    follow_up(ann.station)
    assert slots(keys).get_allowed_job_ids() == []
    assert row("one").rate_limit_key == "other"
