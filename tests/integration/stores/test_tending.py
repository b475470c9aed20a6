"""What a worker renews and moves in Redis, where some keys are not what they should be."""

from __future__ import annotations

import time

import pytest

from django_resilient_queue.stores.redis import RedisStore, Tending
from example_project.servers import RedisServer
from tests.stores import QUEUES, RedisBench, Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bench(redis_server: RedisServer) -> RedisBench:
    return RedisBench(redis_server)


def tend(worker: Worker, *claims: object) -> Tending:
    assert isinstance(worker.store, RedisStore)
    return worker.store.tend(worker.claimant, claims, queue_names=QUEUES)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["rq:job:a", "rq:executions:a", "rq:execution:a:{token}"])
def test_a_spoilt_key_of_a_running_job_keeps_no_other_from_being_renewed(
    bench: RedisBench, key: str
) -> None:
    bench.put_all("ab")
    worker = bench.worker("w")
    spoilt, sound = worker.claim()
    bench.client.delete(key.format(token=spoilt.token))
    bench.client.set(key.format(token=spoilt.token), "spoilt")
    bench.client.zadd("rq:wip:default", {f"{c.job_id}:{c.token}": 1 for c in (spoilt, sound)})

    tending = tend(worker, spoilt, sound)
    assert tending.lost == set()
    assert any("WRONGTYPE" in text for text in tending.troubles.values())
    assert bench.client.zcount("rq:wip:default", time.time() + 60, "+inf") == 2


def test_a_spoilt_registry_of_scheduled_jobs_holds_up_no_other_queue(bench: RedisBench) -> None:
    bench.client.set("rq:scheduled:critical", "spoilt")
    bench.put("late", "low")
    bench.client.delete("rq:queue:low")
    bench.client.zadd("rq:scheduled:low", {"late": 1})

    tending = tend(bench.worker("w"))
    assert list(tending.troubles) == ["rq:scheduled:critical"]
    assert bench.client.lrange("rq:queue:low", 0, -1) == [b"late"]


def test_a_job_that_was_deleted_while_it_runs_is_not_revived_by_its_heartbeat(
    bench: RedisBench,
) -> None:
    bench.put("a")
    worker = bench.worker("w")
    claim = worker.take()
    bench.client.delete("rq:job:a", f"rq:execution:a:{claim.token}")
    assert tend(worker, claim).lost == set()
    assert not bench.client.exists("rq:job:a", f"rq:execution:a:{claim.token}")
