"""A worker whose Redis is named by Sentinels: it works, and goes on with the replica."""

from __future__ import annotations

import json
from collections.abc import Iterator

import django_rq
import pytest
from pytest_django import Settings
from rq.job import JobStatus

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import FallbackJob, Outage
from example_project.servers import RedisServer, SentinelServer
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis
from tests.conftest import WaitUntil, reset_process_state
from tests.workers import WorkerProcess

pytestmark = in_redis


class Watched:
    """A master, its replica, and the Sentinel that watches both."""

    def __init__(self, stage: Stage, master: RedisServer, watcher: SentinelServer) -> None:
        self.stage, self.master = stage, master
        named = {"SENTINELS": [watcher.address], "MASTER_NAME": watcher.service_name, "DB": 0}
        self.queues = {name: {**named, "DEFAULT_TIMEOUT": 60} for name in ("default", "low")}

    def worker(self, *queues: str) -> WorkerProcess:
        return self.stage.worker(
            *queues,
            environment={
                "DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.sentinel_settings",
                "DRQ_TEST_SENTINEL_QUEUES": json.dumps(self.queues),
            },
        )


@pytest.fixture
def watched(stage: Stage, settings: Settings, wait_until: WaitUntil) -> Iterator[Watched]:
    with (
        RedisServer() as master,
        RedisServer(replica_of=master) as replica,
        SentinelServer(master) as watcher,
    ):
        with watcher.client() as client:
            wait_until(lambda: client.sentinel_slaves("main"))
        with replica.client() as client:
            wait_until(lambda: client.info()["master_link_status"] == "up")
        found = Watched(stage, master, watcher)
        settings.RQ_QUEUES = found.queues
        reset_process_state()
        yield found
        reset_process_state()


def test_a_worker_survives_a_failover_and_goes_on_from_the_replica(
    stage: Stage, watched: Watched
) -> None:
    worker = watched.worker()
    django_rq.enqueue(jobs.record_own_store, stage.path)
    stage.until_lines("redis")

    watched.master.kill()
    stage.until_worker_uses("database")
    django_rq.enqueue(jobs.record_own_store, stage.path)
    stage.until_lines("redis", "database")
    stage.until_worker_uses("redis")
    stage.until(lambda: Outage.objects.filter(ended_at__isnull=False).exists())
    reset_process_state()
    last = django_rq.enqueue(jobs.record_own_store, stage.path)
    stage.until_lines("redis", "database", "redis")
    stage.until(lambda: last.get_status() == JobStatus.FINISHED)
    assert worker.is_running


def test_jobs_that_wait_or_run_when_the_master_dies_run_once(
    stage: Stage, watched: Watched
) -> None:
    running = django_rq.enqueue(jobs.record_when_released, stage.path, "running", stage.gate())
    waiting = django_rq.enqueue(jobs.record, stage.path, "waiting")
    watched.worker()
    stage.until_lines("begin running")

    watched.master.kill()
    stage.until_worker_uses("database")
    stage.until_worker_uses("redis")
    stage.open(stage.gate())
    stage.until_lines("begin running", "running", "waiting")
    for job in (running, waiting):
        stage.until_state(job.id, JobState.COMPLETED)
    stage.until(lambda: not FallbackJob.objects.exists())
    assert stage.lines == ["begin running", "running", "waiting"]
