"""Jobs whose worker is gone, and what a worker leaves behind in the system when it is killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import django_rq
import pytest

from django_resilient_queue.facts import measures
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, WorkerHeartbeat
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis, is_alive

# Deaths are noticed after a lease; these tests wait for several of them.
HASTY = {"LEASE": 1, "HEARTBEAT_INTERVAL": 0.2, "METRICS_INTERVAL": 0.5}


def test_a_job_that_takes_its_worker_along_each_time_ends_as_abandoned(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600)
    for times in (1, 2):
        worker = stage.worker(settings={**HASTY, "RESCUE_LIMIT": 1})
        stage.until_lines(*["begin one"] * times)
        worker.kill()
    stage.worker(settings={**HASTY, "RESCUE_LIMIT": 1})

    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, "abandoned")
    stage.until_state(job.id, JobState.DEAD)
    assert stage.lines == ["begin one"] * 2
    stage.until(lambda: sum(each.failed for each in measures().values()) == 1)


def test_what_a_job_has_saved_is_there_though_its_worker_dies_at_once(stage: Stage) -> None:
    """A job goes on from what it noted: mail sent, money moved. So saving waits for the store."""
    job = django_rq.enqueue(jobs.save_meta_and_kill_worker, stage.path)
    for _ in range(2):
        stage.worker(settings=HASTY)
        stage.until(lambda: bool(stage.lines))
    stage.until_state(job.id, JobState.COMPLETED)
    assert stage.lines == ["nothing", "saved"]


@in_redis
@pytest.mark.parametrize(
    ("function", "values", "reason", "message"),
    [
        (jobs.record_and_fail, ["one"], "raised", "on purpose: one"),
        (jobs.record_and_return_retry, ["one", 1], "retries_exceeded", "past its max"),
        (jobs.record_and_kill_own_process, ["one"], "killed", "Work-horse terminated"),
        (jobs.record_slowly, ["one", 600], "timeout", "maximum timeout value (1 seconds)"),
    ],
)
def test_a_death_that_a_plain_worker_settled_is_one_letter_however_many_workers_see_it(
    stage: Stage, function: Callable[..., object], values: list[object], reason: str, message: str
) -> None:
    job = django_rq.enqueue(function, stage.path, *values, job_timeout=1)
    stage.worker(options=["--worker-class", "rq.worker.Worker", "--burst"]).wait()
    assert not DeadLetter.objects.exists()

    workers = [stage.worker(), stage.worker()]
    letter = stage.letter()
    assert (letter.job_id, letter.reason) == (job.id, reason)
    assert message in letter.message
    stage.until(lambda: stage.row(job.id) is None)
    stage.until(lambda: WorkerHeartbeat.objects.filter(mode="redis").count() == 2)
    for worker in workers:
        worker.terminate()
        assert worker.wait() == 0
    assert DeadLetter.objects.count() == 1


def test_a_killed_worker_leaves_no_horse_at_work_or_idle(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_own_pid, stage.path)
    idle = stage.worker()
    stage.until(lambda: stage.lines)
    idle.kill()
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    busy = stage.worker()
    stage.until(lambda: "begin one" in stage.lines)
    horses = [int(stage.lines[0]), *busy.horses]
    assert len(horses) == 2
    busy.kill()

    stage.until(lambda: not any(is_alive(pid) for pid in horses))


def test_a_worker_and_its_horse_share_no_connection(stage: Stage) -> None:
    django_rq.enqueue(jobs.use_both_stores_when_released, stage.path, stage.gate(), stage.mode)
    worker = stage.worker()
    stage.until_lines("begin")
    stage.until_worker_uses(stage.mode)
    (horse,) = worker.horses

    own, of_horse = connections(worker.pid), connections(horse)
    stage.open(stage.gate())
    stage.until_lines("begin", "end")
    assert not own & of_horse
    assert own if stage.mode == "redis" else True
    assert stage.mode == "database" or of_horse


def connections(pid: int) -> set[str]:
    """The inodes of the TCP sockets that a process has open."""
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    tcp = {f"socket:[{row[9]}]" for row in rows}
    links = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return tcp & links
