"""Promises of what the death of a worker costs: the job in hand runs again, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from django_resilient_queue.models import DeadLetter, FallbackJob
from example_project.servers import RedisServer
from tests.acceptance.conftest import StartWorkers
from tests.acceptance.executions import Executions, modes
from tests.acceptance.worker.stage import is_alive
from tests.conftest import WaitUntil, poll
from tests.jobs import record_slowly, record_when_released
from tests.workers import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

# A worker that is gone is noticed after a lease; the tests have no time for the ten seconds that
# a project has by default.
IMPATIENT = {"LEASE": 3, "HEARTBEAT_INTERVAL": 0.5}


def held_in_the_middle(path: str, number: int) -> None:
    """The twentieth ends when it may."""
    if number == 20:
        record_when_released(path, number, gate_of(path))
    else:
        record_slowly(path, number, 0.001)


def gate_of(path: str) -> str:
    return f"{path}.gate"


def tree(worker: WorkerProcess) -> None:
    """The container is gone: the worker and its horse at once."""
    worker.kill_all()


def parent(worker: WorkerProcess) -> None:
    """Its horse must notice."""
    horses = worker.horses
    worker.kill()
    poll(lambda: not any(is_alive(pid) for pid in horses))


@pytest.mark.parametrize("death", [tree, parent])
def test_a_job_whose_worker_dies_in_the_middle_runs_again(
    death: Callable[[WorkerProcess], None],
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    (worker,) = workers(1, settings=IMPATIENT)
    with executions.load(jobs=60, job=held_in_the_middle) as load, redis_server.client() as client:
        wait_until(lambda: 20 in executions.begun)
        # The ends of short jobs are told together, within some milliseconds.
        wait_until(lambda: client.zcard("rq:finished:default") == executions.begun.total() - 1)
        death(worker)
        Path(gate_of(executions.ledger.path)).touch()
        workers(1, settings=IMPATIENT)
    executions.assert_complete(load)
    assert executions.begun[20] == 2
    assert executions.begun.total() == 61


@pytest.mark.parametrize("death", [tree, parent])
def test_a_job_whose_worker_dies_while_redis_is_away_runs_again(
    death: Callable[[WorkerProcess], None],
    workers: StartWorkers,
    executions: Executions,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    redis_server.kill()
    (worker,) = workers(1, mode="database", settings=IMPATIENT)
    with executions.load(jobs=60, job=held_in_the_middle) as load:
        wait_until(lambda: 20 in executions.begun)
        finished = FallbackJob.objects.filter(state="finished")
        wait_until(lambda: finished.count() == executions.begun.total() - 1)
        death(worker)
        Path(gate_of(executions.ledger.path)).touch()
        workers(1, mode="database", settings=IMPATIENT)
    executions.wait_for(60)
    redis_server.start()
    wait_until(lambda: modes().count("redis") == 1)
    executions.assert_complete(load)
    assert executions.begun.total() == 61


def test_a_killed_horse_costs_its_job_and_no_other(
    workers: StartWorkers, executions: Executions, wait_until: WaitUntil
) -> None:
    (worker,) = workers(1)
    with executions.load(jobs=60, job=held_in_the_middle) as load:
        wait_until(lambda: 20 in executions.begun)
        (horse,) = worker.horses
        os.kill(horse, signal.SIGKILL)
    executions.assert_complete(load, letters=1)
    assert DeadLetter.objects.get().reason == "killed"
    assert worker.is_running


def test_a_worker_that_is_asked_to_end_finishes_its_job_first(
    workers: StartWorkers, executions: Executions, wait_until: WaitUntil
) -> None:
    (worker,) = workers(1)
    with executions.load(jobs=60, job=held_in_the_middle) as load:
        wait_until(lambda: 20 in executions.begun)
        worker.terminate()
        Path(gate_of(executions.ledger.path)).touch()
        assert worker.wait() == 0
        workers(1)
    executions.assert_complete(load)
    assert executions.begun.total() == 60
