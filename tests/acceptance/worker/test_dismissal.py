"""A worker that is asked to end finishes the job in hand, takes no other, and is gone."""

from __future__ import annotations

from django_resilient_queue.dismissal import stop_worker
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import WorkerHeartbeat
from django_resilient_queue.models.worker_heartbeat import Mode
from tests.acceptance.worker.stage import Stage, in_redis
from tests.acceptance.worker.test_shutting_down import started_with


def test_it_ends_after_the_job_in_hand_in_either_mode(stage: Stage) -> None:
    worker, (first, second) = started_with(stage, "one", "two")

    name = WorkerHeartbeat.objects.get().name
    assert stop_worker(name)
    assert not stop_worker(name), "asked already"
    stage.until(lambda: "asked to stop" in worker.output)
    stage.open(stage.gate())
    assert worker.wait() == 0
    assert stage.lines == ["begin one", "one"]
    assert stage.state(first) == JobState.COMPLETED
    assert stage.state(second) == JobState.WAITING
    assert not WorkerHeartbeat.objects.exists()


def test_an_idle_one_ends_soon(stage: Stage) -> None:
    worker = stage.worker()
    stage.until(lambda: WorkerHeartbeat.objects.exclude(mode=Mode.STARTING).exists())

    assert stop_worker(WorkerHeartbeat.objects.get().name)
    assert worker.wait() == 0


def test_a_namesake_of_one_that_died_before_it_could_hear_is_not_stopped(stage: Stage) -> None:
    worker, _ = started_with(stage, "one")
    name = WorkerHeartbeat.objects.get().name
    WorkerHeartbeat.objects.update(is_to_stop=True)
    worker.kill()

    stage.until(lambda: WorkerHeartbeat.objects.filter(name=name).exists())
    other = stage.worker("high", options=["--name", name])
    stage.until(lambda: WorkerHeartbeat.objects.filter(name=name, pid=other.pid).exists())
    assert not WorkerHeartbeat.objects.get(name=name).is_to_stop
    assert "asked to stop" not in other.output


def test_one_that_was_started_under_its_name_since_is_not_stopped(stage: Stage) -> None:
    worker = stage.worker(options=["--name", "ann"])
    stage.until(lambda: WorkerHeartbeat.objects.exists())
    seen = WorkerHeartbeat.objects.get().started_at
    worker.terminate()
    worker.wait()
    other = stage.worker(options=["--name", "ann"])
    stage.until(lambda: WorkerHeartbeat.objects.filter(pid=other.pid).exists())

    assert not stop_worker("ann", started_at=seen)
    assert not WorkerHeartbeat.objects.get().is_to_stop
    assert stop_worker("ann", started_at=WorkerHeartbeat.objects.get().started_at)
    assert other.wait() == 0


@in_redis
def test_another_worker_of_rq_is_told_over_redis(stage: Stage) -> None:
    plain = stage.worker(options=["--worker-class", "rq.SimpleWorker", "--name", "plain"])
    # Before it listens the signal that it sends to itself would cut it short.
    stage.until(lambda: "istening on" in plain.output)
    stage.until(lambda: stop_worker("plain"))
    assert plain.wait() == 0
