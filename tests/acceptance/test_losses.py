"""What can't be saved is counted: jobs that Redis alone had when it lost its data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_resilient_queue.facts import lost_by_path
from django_resilient_queue.health import collect
from django_resilient_queue.models import BrokerState, Outage, WorkerHeartbeat
from django_resilient_queue.recovery.homecoming import learn_epoch
from django_resilient_queue.stores import measures
from django_resilient_queue.worker import ResilientWorker
from django_resilient_queue.worker.exposed import Exposed
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import queue
from tests.jobs import succeed
from tests.workers import WorkerProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
SETTINGS: dict[str, Any] = {"OUTBOX": {"low": False}, "METRICS_INTERVAL": 0.1}


@pytest.fixture(autouse=True)
def written_by_the_test() -> Iterator[None]:
    """What a test counts itself, no thread writes beside it, as in a worker."""
    with measures.tended():
        yield


@pytest.fixture
def on_duty(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil, settings: Any
) -> WorkerProcess:
    """A worker of another queue that has looked at what Redis alone has."""
    settings.RESILIENT_QUEUE = SETTINGS
    running = worker_process("critical", settings=SETTINGS)
    wait_until(lambda: BrokerState.objects.exclude(reconciler="").exists())
    return running


def test_jobs_without_an_outbox_are_lost_with_redis_data(
    on_duty: WorkerProcess, redis_server: RedisServer, wait_until: WaitUntil
) -> None:
    for _ in range(3):
        queue("low").enqueue(succeed, 1)
    for _ in range(2):
        queue("default").enqueue(succeed, 1)  # these have rows
    looks(redis_server, wait_until)
    redis_server.flush()
    wait_until(lambda: lost_by_path() == {"outbox_off": 3})
    wait_until(lambda: len(queue("default").job_ids) == 2)
    known = collect().as_json()["metrics"]
    assert (known["lost"], known["lost_by_path"]) == (3, {"outbox_off": 3})
    assert "jobs lost path=outbox_off count=3" in on_duty.output


def test_an_outage_says_how_many_were_lost_in_it(
    on_duty: WorkerProcess, redis_server: RedisServer, wait_until: WaitUntil
) -> None:
    for _ in range(3):
        queue("low").enqueue(succeed, 1)
    looks(redis_server, wait_until)
    redis_server.kill()
    wait_until(Outage.objects.exists)
    redis_server.start()
    wait_until(lambda: lost_by_path() == {"outbox_off": 3})
    wait_until(lambda: Outage.objects.get().ended_at is not None)
    assert Outage.objects.get().jobs_lost == 3


def test_an_outage_long_ago_has_lost_nothing_now(redis_server: RedisServer, settings: Any) -> None:
    settings.RESILIENT_QUEUE = SETTINGS
    queue("low").enqueue(succeed, 1)
    exposed = exposed_of("low")
    broker, long_ago = exposed.station.broker.address, timezone.now() - timedelta(hours=1)
    Outage.objects.create(broker=broker, started_at=long_ago, ended_at=long_ago)
    assert exposed.look()
    redis_server.flush()
    exposed.tell("another")
    assert lost() == {"outbox_off": 1}
    assert Outage.objects.get().jobs_lost == 0


def test_nothing_is_lost_when_redis_comes_back_with_its_data(
    on_duty: WorkerProcess, redis_server: RedisServer, wait_until: WaitUntil
) -> None:
    queue("low").enqueue(succeed, 1)
    looks(redis_server, wait_until)
    with redis_server.client() as client:
        client.delete("drq:epoch")  # an epoch is lost, and no job
    before = WorkerHeartbeat.objects.get().beat
    wait_until(lambda: redis_server.client().exists("drq:epoch"))
    wait_until(lambda: WorkerHeartbeat.objects.get().beat != before)
    on_duty.terminate()
    on_duty.wait()
    assert lost_by_path() == {}


def test_unprotected_jobs_are_lost_with_redis_data(
    database_server: ServerProcess,
    on_duty: WorkerProcess,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    database_server.kill()
    for _ in range(2):
        queue("default").enqueue(succeed, 1)
    looks(redis_server, wait_until)
    redis_server.flush()
    wait_until(lambda: redis_server.client().exists("drq:epoch"))
    database_server.start()
    wait_until(lambda: lost_by_path() == {"unprotected": 2})


def test_what_has_got_its_row_is_not_lost(redis_server: RedisServer, settings: Any) -> None:
    settings.RESILIENT_QUEUE = SETTINGS
    queue("low").enqueue(succeed, 1)
    exposed = exposed_of("low")
    assert exposed.look()
    exposed.forget()
    redis_server.flush()
    exposed.tell("another")
    assert not lost()


def test_what_a_look_sees_after_the_loss_hides_nothing(
    redis_server: RedisServer, settings: Any
) -> None:
    settings.RESILIENT_QUEUE = SETTINGS
    queue("low").enqueue(succeed, 1)
    queue("low").enqueue_in(timedelta(hours=1), succeed, 1)
    exposed = exposed_of("low")
    assert exposed.look()
    redis_server.flush()
    assert not exposed.look()
    exposed.tell("another")
    assert lost() == {"outbox_off": 2}
    exposed.tell("a third")
    assert lost() == {"outbox_off": 2}


def test_where_every_queue_has_its_outbox_nobody_looks(settings: Any) -> None:
    assert not exposed_of("low").is_possible
    settings.RESILIENT_QUEUE = SETTINGS
    assert exposed_of("low").is_possible


def exposed_of(queue_name: str) -> Exposed:
    """What a worker that has come home knows."""
    worker = ResilientWorker([queue(queue_name)])
    worker.station.redis.epoch = learn_epoch(worker.station)[0]
    return Exposed(worker.station)


def lost() -> dict[str, int]:
    measures.write(alias="default")
    return lost_by_path()


def looks(redis_server: RedisServer, wait_until: WaitUntil) -> None:
    """Wait until the worker has looked twice."""

    def calls() -> int:
        with redis_server.client() as client:
            stats: dict[str, Any] = client.info("commandstats")
        return int(stats.get("cmdstat_srandmember", {}).get("calls", 0))

    before = calls()  # of the script that counts, and of little else
    wait_until(lambda: calls() >= before + 4)
