"""DELETE jobs/{id}/ with a real worker that runs the job."""

from __future__ import annotations

from typing import Any

from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter, WorkerHeartbeat
from tests.acceptance.worker.stage import Stage, in_redis
from tests.acceptance.worker.test_shutting_down import started_with
from tests.rest import ROOT, client


def delete(job_id: str, query: str = "") -> Any:
    answer = client().delete(f"{ROOT}jobs/{job_id}/{query}")
    return answer.status_code, answer.json()


def stop(stage: Stage, job_id: str) -> None:
    """Till the next heartbeat of its worker nobody may be known to have it."""
    stage.until(lambda: delete(job_id, "?running=true")[0] == 202)


def test_a_job_that_runs_is_stopped_and_its_worker_goes_on(stage: Stage) -> None:
    _, (first, second) = started_with(stage, "one", "two")

    status, problem = delete(first)
    assert (status, problem["code"]) == (409, "active")
    stop(stage, first)
    stage.until_state(first, JobState.CANCELLED)
    stage.open(stage.gate())
    stage.until_state(second, JobState.COMPLETED)
    assert "one" not in stage.lines
    assert not DeadLetter.objects.exists()
    status, problem = delete(first, "?running=true")
    assert (status, problem["code"]) == (409, "ended")


@in_redis
def test_with_redis_away_a_job_is_stopped_that_came_from_there(stage: Stage) -> None:
    _, (first, second) = started_with(stage, "one", "two")
    stage.redis.kill()
    stage.until_worker_uses("database")

    assert delete(first)[0] == 503
    stop(stage, first)
    stage.until(lambda: WorkerHeartbeat.objects.get().job_to_stop == "")
    stage.open(stage.gate())
    stage.until_state(first, JobState.CANCELLED)
    stage.redis.start()
    stage.until_state(second, JobState.COMPLETED)
    assert (stage.state(first), "one" in stage.lines) == (JobState.CANCELLED, False)
    assert not DeadLetter.objects.exists()
