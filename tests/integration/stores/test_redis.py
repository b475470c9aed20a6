"""What Redis adds to the contract of a store: lost replies, epochs, and one round trip."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused
from django_resilient_queue.stores.base import Verdict
from django_resilient_queue.stores.links import link_to
from django_resilient_queue.stores.pushes import Push
from django_resilient_queue.stores.redis import EpochChanged, RedisStore
from example_project.servers import FaultyProxy, RedisServer
from tests.enqueueing import round_trips
from tests.patience import LIMIT
from tests.stores import QUEUES, RedisBench, Worker, ids, snapshot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def in_redis(redis_server: RedisServer) -> RedisBench:
    return RedisBench(redis_server)


def behind(proxy: FaultyProxy, bench: RedisBench) -> Worker:
    store = RedisStore(link_to(Redis(port=proxy.port), timeout=LIMIT))
    store.epoch = bench.epoch
    return Worker(store, "w")


def test_a_claim_whose_reply_was_lost_is_answered_with_the_same_jobs(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b", "c"])
    worker = behind(proxy, in_redis)
    in_redis.worker("loads the script").claim("nowhere")
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim(limit=2)
    assert in_redis.state("a") == in_redis.state("b") == "active"
    claims = worker.claim(limit=2)
    assert ids(claims) == ["a", "b"]
    assert worker.renew(*claims) == set()
    assert in_redis.client.zcard("rq:wip:default") == 2
    assert ids(worker.claim(limit=2)) == ["c"]


def test_a_claim_that_never_arrived_is_made_when_it_is_repeated(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    in_redis.worker("loads the script").claim("nowhere")
    proxy.drop_request(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim()
    assert ids(worker.claim()) == ["a", "b"]


def test_what_was_taken_away_since_is_not_answered_again(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    other = in_redis.worker("other")
    other.claim("nowhere")  # loads the script
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim()
    assert other.claim() == []
    (entry,) = in_redis.client.zrangebylex("rq:wip:default", "[a:", "(a;")
    in_redis.client.zrem("rq:wip:default", entry)
    assert ids(worker.claim()) == ["b"]


def test_a_settlement_whose_reply_was_lost_is_found_settled(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    first, second = worker.claim()
    worker.store.settle(first, worker.finished(first))  # loads the script
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.store.settle(second, worker.finished(second))
    assert worker.store.settle(second, worker.finished(second)) is Verdict.SETTLED
    assert in_redis.client.xlen("rq:results:b") == 1


def test_a_redis_of_another_epoch_gives_no_job_away(in_redis: RedisBench) -> None:
    in_redis.put("a")
    worker = in_redis.worker("w")
    in_redis.client.set("drq:epoch", "another")
    with pytest.raises(EpochChanged) as caught:
        worker.claim()
    assert caught.value.epoch == "another"
    assert in_redis.state("a") == "waiting"


def test_a_claim_is_one_command_for_all_queues_and_jobs(in_redis: RedisBench) -> None:
    for name in QUEUES:
        in_redis.put_all([f"{name}{n}" for n in range(5)], name)
    worker = in_redis.worker("w")
    worker.claim("nowhere")
    in_redis.client.config_resetstat()
    assert len(worker.claim(*QUEUES, limit=20)) == 20
    assert in_redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_rq_sees_a_claimed_job_as_started(in_redis: RedisBench) -> None:
    in_redis.put("a")
    claim = in_redis.worker("w").take()
    assert in_redis.client.zrange("rq:wip:default", 0, -1) == [f"a:{claim.token}".encode()]
    assert in_redis.client.hget("rq:job:a", "status") == b"started"
    assert in_redis.client.smembers("rq:worker:w:executions") == {f"a:{claim.token}".encode()}


# ---- a store that is away ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_redis_that_is_away_says_so(in_redis: RedisBench, how: str) -> None:
    in_redis.put("a")
    worker = in_redis.worker("w")
    claim = worker.take()
    worker.store = RedisStore(link_to(in_redis.client, timeout=0.1))
    getattr(in_redis.server, how)()
    for ask in (
        lambda: worker.claim(),
        lambda: worker.renew(claim),
        lambda: worker.store.settle(claim, worker.finished(claim)),
        lambda: worker.store.release(claim),
    ):
        with pytest.raises((StoreRefused, StoreAmbiguous)):
            ask()


def test_pushes_of_a_thousand_jobs_are_one_round_trip(
    in_redis: RedisBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_redis.put("first")
    job = snapshot("0")
    pushes = [Push(replace(job, job_id=f"{n}")) for n in range(1000)]
    with round_trips(monkeypatch) as made:
        answers = in_redis.store.push(pushes, epoch=in_redis.epoch, deadline=2**40)
    assert {answer.word for answer in answers} == {"pushed"}
    assert made == [1000]
