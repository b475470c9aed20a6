"""What can't be saved is counted: jobs that Redis alone had when it lost its data."""

from __future__ import annotations

from typing import Any

import pytest

from django_resilient_queue.facts import lost_by_path
from django_resilient_queue.health import collect
from django_resilient_queue.models import BrokerState, WorkerHeartbeat
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import queue
from tests.jobs import succeed
from tests.workers import WorkerProcess

pytestmark = [pytest.mark.django_db(transaction=True)]
SETTINGS: dict[str, Any] = {"OUTBOX": {"low": False}, "METRICS_INTERVAL": 0.1}


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


def looks(redis_server: RedisServer, wait_until: WaitUntil) -> None:
    """Wait until the worker has looked twice."""

    def calls() -> int:
        with redis_server.client() as client:
            stats: dict[str, Any] = client.info("commandstats")
        return int(stats.get("cmdstat_srandmember", {}).get("calls", 0))

    before = calls()  # of the script that counts, and of little else
    wait_until(lambda: calls() >= before + 4)
