"""A job that dies while neither store is there: its letter is in the log, and stored afterwards."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import django_rq
import pytest
from rq.job import JobStatus

from django_resilient_queue import requeue
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter, FallbackJob
from django_resilient_queue.recovery.transcript import EVENT, import_letters
from example_project.servers import ServerProcess
from tests import jobs
from tests.acceptance.worker.stage import DATABASE, Stage, in_redis
from tests.workers import WorkerProcess

IMPATIENT = {"DATABASE_TIMEOUT": 0.5}


def lines_of(worker: WorkerProcess) -> list[str]:
    return [line for line in worker.output.splitlines() if EVENT in line]


def logged_letter(worker: WorkerProcess) -> dict[str, Any]:
    (line,) = lines_of(worker)
    data: dict[str, Any] = json.loads(line[line.index("{") :])
    return data


def stored_letter(stage: Stage, database_server: ServerProcess) -> DeadLetter:
    """The letter, once the database is back and nothing of the job is left to do."""
    stage.bring_back(database_server)
    letter = stage.letter()
    stage.until(lambda: not FallbackJob.objects.exists())
    return letter


@pytest.fixture
def worker(stage: Stage, database_server: ServerProcess) -> WorkerProcess:
    """One that has the job `job` in hand, which died when both stores were away."""
    django_rq.enqueue(
        jobs.fail_when_released, stage.path, stage.gate(), api_token="s3cret", job_id="job"
    )
    worker = stage.worker(settings=IMPATIENT)
    stage.until_lines("begin")
    database_server.stop()
    stage.until(lambda: "database lost" in worker.output)
    if stage.mode != DATABASE:
        stage.redis.freeze()
        stage.until(lambda: "redis lost" in worker.output)
    stage.open(stage.gate())
    stage.until(lambda: lines_of(worker))
    return worker


def test_the_whole_letter_is_one_line_of_the_log_and_stored_when_the_database_is_back(
    stage: Stage, worker: WorkerProcess, database_server: ServerProcess
) -> None:
    logged = logged_letter(worker)
    assert (logged["job_id"], logged["reason"], logged["attempts"]) == ("job", "raised", 1)
    assert (logged["args"], logged["kwargs"]) == (
        [stage.path, stage.gate()],
        {"api_token": "********"},
    )
    assert "s3cret" not in worker.output
    assert "ValueError: on purpose" in logged["traceback"]
    snapshot = JobSnapshot.load(b64decode(logged["payload"]))

    stage.bring_back(database_server)
    letter = stage.letter()
    assert (letter.job_id, letter.generation) == ("job", logged["generation"])
    assert letter.snapshot == snapshot
    stage.redis.thaw()
    stage.redis.start()
    stage.until_worker_uses("redis")
    stage.until(lambda: not FallbackJob.objects.exists())
    assert logged_letter(worker) == logged
    assert letter.history.count() == DeadLetter.objects.count() == 1
    assert stage.lines == ["begin"]


@in_redis
def test_with_redis_back_first_the_job_is_in_the_failed_registry_and_a_letter_later(
    stage: Stage, worker: WorkerProcess, database_server: ServerProcess
) -> None:
    stage.redis.thaw()
    queue = django_rq.get_queue()
    stage.until(lambda: queue.failed_job_registry.get_job_ids() == ["job"])
    job = queue.fetch_job("job")
    assert job is not None
    assert job.get_status() == JobStatus.FAILED

    assert stored_letter(stage, database_server).reason == "raised"
    worker.terminate()
    assert worker.wait() == 0
    assert DeadLetter.objects.get().history.count() == 1
    assert stage.lines == ["begin"]


@in_redis
def test_with_an_empty_redis_back_first_the_worker_keeps_the_death_for_the_database(
    stage: Stage, worker: WorkerProcess, database_server: ServerProcess
) -> None:
    stage.redis.kill()
    before = worker.output.count("redis in use")
    stage.redis.start()
    stage.until(lambda: worker.output.count("redis in use") > before)

    assert stored_letter(stage, database_server).reason == "raised"
    assert len(lines_of(worker)) == 1
    assert stage.lines == ["begin"]


@in_redis
def test_a_death_of_which_redis_knows_nothing_is_in_the_log_while_the_database_is_away(
    stage: Stage, database_server: ServerProcess
) -> None:
    django_rq.enqueue(jobs.fail_when_released, stage.path, stage.gate(), job_id="job")
    worker = stage.worker(settings=IMPATIENT)
    stage.until_lines("begin")
    database_server.stop()
    stage.until(lambda: "database lost" in worker.output)
    stage.redis.flush()
    stage.open(stage.gate())
    stage.until(lambda: lines_of(worker))

    assert stored_letter(stage, database_server).reason == "raised"
    assert logged_letter(worker)["job_id"] == "job"
    assert stage.lines == ["begin"]


def test_a_letter_of_the_log_is_imported_once_unless_its_job_is_still_to_run(
    stage: Stage, worker: WorkerProcess, database_server: ServerProcess
) -> None:
    """The worker is killed before either store is back: what it had in hand runs again."""
    log = [*worker.output.splitlines(), '{"no": "letter"}', "{", "plain words"]
    worker.kill()
    stage.bring_back(database_server)
    assert import_letters(log).alive == 1
    assert not DeadLetter.objects.exists()

    FallbackJob.objects.all().delete()  # as in a database from before the job
    assert import_letters(log).stored == 1
    assert import_letters(log).known == 1
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.status, letter.category) == ("job", "dead", "validation")
    assert letter.history.count() == 1
    assert requeue(letter) == "job-r1"
