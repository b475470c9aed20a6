"""What workers write: lines that programs can read, and nothing that a payload held."""

from __future__ import annotations

import json
from typing import Any

import django_rq
import pytest
from rq import Callback, Retry

from django_resilient_queue import enqueue, get_queue, requeue
from django_resilient_queue.context import OF_JOBS
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter
from example_project.servers import RedisServer
from tests import jobs
from tests.acceptance.conftest import StartWorkers
from tests.acceptance.executions import modes
from tests.acceptance.worker.stage import QUICK, Stage
from tests.conftest import Ledger, WaitUntil
from tests.workers import WorkerProcess

HUSH = "hush-4111"
COMPLAIN = "tests.jobs.complain_of"
AS_JSON = {
    "DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.log_settings",
    "DRQ_TEST_HANDLERS": "[]",
}
AS_TEXT = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.handler_settings"}
WHO = {"request_id": "r-1", "user_id": 7}


def lines(worker: WorkerProcess, **fitting: Any) -> list[dict[str, Any]]:
    """The lines of a worker that logs JSON; anything else is a failure."""
    found = [json.loads(line) for line in worker.output.splitlines() if line]
    return [line for line in found if fitting.items() <= line.items()]


def test_each_line_of_a_job_can_be_read_and_says_whose_it_is(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.break_with, HUSH, meta=WHO, retry=Retry(1))
    worker = stage.worker(environment=AS_JSON)
    stage.letter()
    worker.terminate()
    worker.wait()
    mine = lines(worker, job_id=job.id)
    # In any order, for the horse may be faster than its worker.
    said = [(line["attempts"], line["event"]) for line in mine if line["name"] == "rq.worker"]
    assert sorted(said) == [
        (1, "job_failed"),
        (1, "job_retry"),
        (1, "job_started"),
        (2, "job_dead"),
        (2, "job_failed"),
        (2, "job_started"),
    ]
    about = {"job_type": "tests.jobs.break_with", "queue": "default", **WHO}
    for line in mine:
        assert about.items() <= line.items()
        assert set(OF_JOBS) <= line.keys()
    assert lines(worker, event="job_dead", reason="raised")
    assert lines(worker, event="worker_started")
    assert HUSH not in worker.output


@pytest.mark.parametrize("environment", [AS_TEXT, AS_JSON])
def test_no_secret_is_written_whatever_becomes_of_its_job(
    stage: Stage, environment: dict[str, str]
) -> None:
    """Neither of a payload, nor of an error's message that repeats it."""
    queue = django_rq.get_queue()
    hidden = {"secret": HUSH, "token": HUSH}
    queue.enqueue(jobs.succeed, HUSH)
    queue.enqueue(jobs.break_with, HUSH, token=HUSH, retry=Retry(2))
    queue.enqueue(jobs.break_with, kwargs=hidden, on_failure=Callback(jobs.complain_of))
    queue.enqueue(jobs.kill_own_process, description=f"kill({HUSH})")
    queue.enqueue("tests.jobs.is_not_there", HUSH)
    enqueue("letter:send", letter(stage), queue="default")
    worker = stage.worker(
        options=["-v", "3"],
        environment={**environment, "DRQ_TEST_HANDLERS": json.dumps([COMPLAIN])},
    )
    stage.until(lambda: DeadLetter.objects.count() == 4)
    ids = [requeue(each) for each in DeadLetter.objects.filter(handler__endswith="break_with")]
    stage.until(lambda: DeadLetter.objects.filter(job_id__in=ids).count() == len(ids))
    worker.terminate()
    worker.wait()
    assert "failed" in worker.output
    assert "LookupError" in worker.output
    assert "kill" in worker.output
    assert HUSH not in worker.output


def letter(stage: Stage) -> dict[str, Any]:
    return {"ledger": stage.path, "to": f"{HUSH}@example.com", "subject": HUSH}


@pytest.mark.django_db(transaction=True)
def test_no_secret_is_written_through_an_outage(
    workers: StartWorkers,
    redis_server: RedisServer,
    ledger: Ledger,
    wait_until: WaitUntil,
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = workers(2, settings=QUICK, options=["-v", "3"])
    for which in ("before", "in", "after"):
        if which == "in":
            redis_server.kill()
            wait_until(lambda: modes() == ["database"] * 2)
        if which == "after":
            redis_server.start()
            wait_until(lambda: modes() == ["redis"] * 2)
        for _ in range(3):
            get_queue().enqueue(jobs.record, ledger.path, HUSH)
            get_queue().enqueue(jobs.break_with, HUSH, retry=Retry(1))
    wait_until(lambda: len(ledger.lines) == 9)
    wait_until(lambda: DeadLetter.objects.count() == 9)
    for worker in started:
        worker.terminate()
        worker.wait()
        assert "redis lost" in worker.output
        assert HUSH not in worker.output
    assert HUSH not in caplog.text
    assert HUSH not in "".join(str(vars(record)) for record in caplog.records)


def test_what_a_job_enqueues_is_for_the_same_request(stage: Stage) -> None:
    """By the handler that another job enqueues."""
    stage.worker()
    job = django_rq.enqueue(jobs.enqueue_one_that_records_its_meta, stage.path, meta=WHO)
    stage.until_state(job.id, JobState.COMPLETED)
    stage.until_lines(str(WHO))
