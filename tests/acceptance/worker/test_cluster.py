"""A Redis Cluster: rq works there with all keys in one slot, by a hash tag in its prefix."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from django_resilient_queue.models import DeadLetter, FallbackJob, Outage
from example_project.servers import RedisServer
from tests.acceptance.worker.stage import QUICK, Stage, in_redis
from tests.conftest import StartWorker, WaitUntil

pytestmark = in_redis

SLOTS = range(16384)
PREFIX = {"RQ_KEY_PREFIX": "{rq}"}


@pytest.fixture
def cluster(wait_until: WaitUntil) -> Iterator[RedisServer]:
    """One node that has every slot, and refuses a command whose keys lie in two of them."""
    with RedisServer(options={"cluster-enabled": "yes"}) as node:
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *SLOTS)
            wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        yield node


def test_all_keys_lie_in_the_slot_of_a_prefix_with_a_hash_tag(
    stage: Stage, cluster: RedisServer, worker_process: StartWorker
) -> None:
    start = partial(worker_process, redis_port=cluster.port, environment=PREFIX)
    start("tests.jobs.enqueue_one_of_each_kind", stage.path, command="rqenqueue")
    start("default", settings=QUICK)

    kinds = ["dependent", "dropped", "limited", "retried", "retried", "scheduled"]
    stage.until(lambda: sorted(stage.lines) == kinds)
    stage.until(lambda: not FallbackJob.objects.exists())
    with cluster.client() as client:
        keys = list(client.scan_iter())
        slots = {client.execute_command("CLUSTER", "KEYSLOT", key) for key in keys}
    assert len(slots) == 1
    assert any(key.startswith(b"d{rq}:") for key in keys)
    assert not DeadLetter.objects.exists()
    assert not Outage.objects.exists()
