"""The fixtures run a worker as an operator does, on the database of the test, and end all of it."""

from __future__ import annotations

import signal
from pathlib import Path

import django_rq
import pytest

from example_project.servers import RedisServer
from tests import jobs
from tests.conftest import Ledger, StartWorker, WaitUntil

pytestmark = pytest.mark.from_the_command_line


def test_a_worker_executes_a_job_and_ends_when_asked(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil, ledger: Ledger
) -> None:
    worker = worker_process("high", "default")
    django_rq.enqueue(jobs.record, ledger.path, "one")
    wait_until(lambda: ledger.lines == ["one"])

    worker.terminate()
    assert worker.wait() == 0, worker.output


def test_a_killed_worker_leaves_no_horse_when_the_test_ends(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil, ledger: Ledger
) -> None:
    worker = worker_process("default")
    django_rq.enqueue(jobs.record_slowly, ledger.path, "one", 600)
    wait_until(lambda: ledger.lines == ["begin one"])
    horses = worker.horses

    worker.close()
    assert horses
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in horses))
    assert worker.returncode == -signal.SIGKILL
