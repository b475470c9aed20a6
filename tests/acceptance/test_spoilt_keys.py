"""A key of Redis that is not what it should be costs its own job something, and no worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import django_rq
import pytest

from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from example_project.servers import RedisServer
from tests import jobs
from tests.conftest import Ledger
from tests.workers import WorkerProcess


@pytest.mark.parametrize("state", [State.DISPATCHED, State.CLAIMED])
def test_a_job_key_of_the_wrong_type_ends_no_worker_and_loses_no_job(
    state: State,
    redis_server: RedisServer,
    worker_process: Callable[..., WorkerProcess],
    wait_until: Callable[..., object],
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "ledger"
    spoilt = django_rq.enqueue(jobs.record, str(ledger), "spoilt")
    django_rq.enqueue(jobs.record, str(ledger), "sound")
    client = redis_server.client()
    client.delete(spoilt.key)
    client.set(spoilt.key, "not a hash")
    if state == State.CLAIMED:  # by a worker that is gone
        FallbackJob.objects.filter(job_id=spoilt.id).update(
            state=state, claimed_by="gone", claim_token="token", version=1
        )

    worker = worker_process(
        "default", settings={"LEASE": 2, "HEARTBEAT_INTERVAL": 0.3, "PROBE_INTERVAL": 0.3}
    )

    def both_ran() -> bool:
        lines = ledger.read_text().split() if ledger.exists() else []
        return {"spoilt", "sound"} <= set(lines)

    wait_until(both_ran)
    assert worker.is_running


QUICK = {"HEARTBEAT_INTERVAL": 0.3, "PROBE_INTERVAL": 0.3}


def told(worker: WorkerProcess) -> list[str]:
    """What the worker says of keys that are not what they should be."""
    return [line for line in worker.output.splitlines() if " trouble worker=" in line]


def test_a_list_of_the_wrong_type_holds_up_no_other_queue_and_works_once_it_is_mended(
    redis_server: RedisServer,
    worker_process: Callable[..., WorkerProcess],
    wait_until: Callable[..., object],
    ledger: Ledger,
) -> None:
    high = django_rq.get_queue("high")
    worker = worker_process("high", "default", settings=QUICK)
    django_rq.enqueue(jobs.record, ledger.path, "first")
    wait_until(lambda: ledger.lines == ["first"])
    with redis_server.client() as client:
        client.set(high.key, "no list")
        for value in ("second", "third"):
            django_rq.enqueue(jobs.record, ledger.path, value)
            wait_until(lambda: ledger.lines[-1] == value)  # noqa: B023
        wait_until(lambda: told(worker))
        client.delete(high.key)
    high.enqueue(jobs.record, ledger.path, "fourth")
    wait_until(lambda: ledger.lines[-1] == "fourth")
    assert [line.partition("cause=")[2] for line in told(worker)] == [
        "WRONGTYPE rq:queue:high is a string, not a list"
    ]
    wait_until(lambda: "trouble over" in worker.output)
    assert "redis lost" not in worker.output


def test_an_end_that_cannot_be_recorded_holds_up_no_other_and_is_recorded_later(
    redis_server: RedisServer,
    worker_process: Callable[..., WorkerProcess],
    wait_until: Callable[..., object],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    worker = worker_process("default", settings=QUICK)
    spoilt = django_rq.enqueue(jobs.record_when_released, ledger.path, "one", str(gate))
    wait_until(lambda: ledger.lines == ["begin one"])
    with redis_server.client() as client:
        client.set(f"{spoilt.key}:dependents", "no set")
        gate.touch()
        wait_until(lambda: told(worker))
        other = django_rq.enqueue(jobs.record, ledger.path, "two")
        wait_until(lambda: other.get_status() == "finished")
        assert spoilt.get_status() == "started"
        client.delete(f"{spoilt.key}:dependents")
    wait_until(lambda: spoilt.get_status() == "finished")
    wait_until(lambda: not FallbackJob.objects.exists())
    assert ledger.lines == ["begin one", "one", "two"]
    assert len(told(worker)) == 1


@pytest.mark.parametrize("key", ["drq:unprotected", "drq:settled", "drq:epoch", "drq:paused"])
def test_a_key_that_all_jobs_need_ends_no_worker_and_is_told_of_once(
    key: str,
    redis_server: RedisServer,
    worker_process: Callable[..., WorkerProcess],
    wait_until: Callable[..., object],
    ledger: Ledger,
) -> None:
    worker = worker_process("default", settings=QUICK)
    django_rq.enqueue(jobs.record, ledger.path, "one")
    wait_until(lambda: not FallbackJob.objects.exists())
    with redis_server.client() as client:
        client.delete(key)
        client.lpush(key, "spoilt")
        client.lpush("rq:queue:default", "nobody")  # so that there is something to claim
        wait_until(lambda: "WRONGTYPE" in worker.output)
        client.delete(key)
    wait_until(lambda: "trouble over" in worker.output or "redis in use" in worker.output)
    django_rq.enqueue(jobs.record, ledger.path, "two")
    wait_until(lambda: ledger.lines == ["one", "two"])
    assert worker.is_running
    causes = [line.partition("cause=")[2] for line in told(worker)]
    assert len(causes) == len(set(causes))
