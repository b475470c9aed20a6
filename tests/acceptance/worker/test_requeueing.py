"""A dead letter's job runs again, in either store, and the letter learns what becomes of it."""

from __future__ import annotations

import django_rq
from rq import Retry

from django_resilient_queue import Selection, get_job, requeue, start_run
from django_resilient_queue.models import (
    BrokerState,
    DeadLetter,
    FailedAttempt,
    FallbackJob,
    RecoveryRun,
)
from tests import jobs
from tests.acceptance.worker.stage import SHORT_LEASE, Stage, in_redis
from tests.stores import RAISED, snapshot
from tests.workers import WorkerProcess

MANY = 1_000  # letters: as many as a test has the time for; benchmarks/bench_recovery.py takes more


def test_a_requeued_job_runs_once_and_its_letter_recovers(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_if_open, stage.path, "done", stage.gate())
    stage.worker()
    letter = stage.letter()
    stage.open(stage.gate())
    assert requeue(letter, by="ann", reason="the file is there now") == f"{job.id}-r1"
    stage.until_lines("done")
    stage.until(lambda: DeadLetter.objects.get().status == "recovered")


def test_a_requeued_job_that_dies_again_is_a_letter_with_a_link(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_if_open, stage.path, "done", stage.gate())
    stage.worker()
    letter = stage.letter()
    new_id = requeue(letter)
    stage.until(lambda: DeadLetter.objects.count() == 2)
    again = DeadLetter.objects.get(job_id=new_id)
    assert (again.requeued_from, again.fingerprint) == (letter, letter.fingerprint)


@in_redis
def test_a_letter_is_requeued_while_redis_is_away_and_recovers(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_if_open, stage.path, "done", stage.gate())
    stage.worker()
    letter = stage.letter()
    stage.open(stage.gate())
    stage.redis.kill()
    new_id = requeue(letter)
    stage.until_lines("done")
    stage.until(lambda: DeadLetter.objects.get().status == "recovered")
    stage.redis.start()
    stage.until_worker_uses("redis")
    stage.until(lambda: (found := get_job(new_id)) is not None and found.state == "completed")
    assert stage.lines == ["done"]


@in_redis
def test_the_history_goes_on_when_a_job_changes_stores_between_two_attempts(stage: Stage) -> None:
    django_rq.enqueue(
        jobs.record_and_fail, stage.path, "one", retry=Retry(max=2, interval=[1, 0]), job_id="job"
    )
    stage.worker(options=["--name", "ann"])
    stage.until(lambda: FailedAttempt.objects.count() == 1)
    stage.redis.kill()
    letter = stage.letter()
    history = [(each.number, each.worker_name) for each in letter.history]
    assert history == [(0, "ann"), (1, "ann"), (2, "ann")]
    assert letter.attempts == 3


def test_a_run_goes_on_when_the_worker_that_drives_it_is_killed(stage: Stage) -> None:
    """Each letter is requeued exactly once; what the killed worker had begun may run again."""
    values = [f"{n:03}" for n in range(120)]
    for value in values:
        django_rq.enqueue(jobs.record_if_open, stage.path, value, stage.gate())
    workers = drivers(stage, "default")
    stage.until(lambda: DeadLetter.objects.count() == len(values))
    stage.open(stage.gate())
    run = start_run(Selection(handler="tests.jobs.record_if_open"), rate=60, canary=5)
    stage.until(lambda: RecoveryRun.objects.get().requeued >= 30)
    workers[driver()].kill()
    stage.until(lambda: DeadLetter.objects.filter(status="recovered").count() == len(values))
    stage.until(lambda: RecoveryRun.objects.get().status == "finished")
    run.refresh_from_db()
    assert (run.requeued, run.skipped, run.refused) == (len(values), 0, 0)
    assert run.items.count() == len(values)
    assert set(stage.lines) == set(values)


@in_redis
def test_a_long_run_requeues_each_letter_once_though_its_driver_is_killed_half_way(
    stage: Stage,
) -> None:
    ids = many_letters()
    # On other queues: what is counted are the jobs that the run has made.
    workers = drivers(stage, "high")
    stage.until_worker_uses("redis")
    run = start_run(Selection(queue_name="low"), rate=1000)
    stage.until(lambda: RecoveryRun.objects.get().requeued >= MANY // 2)
    workers[driver()].kill()

    stage.until(lambda: RecoveryRun.objects.get().status == "finished")
    run.refresh_from_db()
    assert (run.requeued, run.skipped, run.refused) == (MANY, 0, 0)
    assert run.items.count() == DeadLetter.objects.requeued().count() == MANY
    made = FallbackJob.objects.values_list("job_id", flat=True)
    assert sorted(made) == sorted(f"{job_id}-r1" for job_id in ids)
    with stage.redis.client() as client:
        stage.until(lambda: client.llen("rq:queue:low") == MANY)


@in_redis
def test_a_run_that_discards_goes_on_though_its_driver_is_killed_half_way(stage: Stage) -> None:
    many_letters()
    workers = drivers(stage, "high")
    stage.until_worker_uses("redis")
    run = start_run(Selection(queue_name="low"), rate=300, deed="discard", reason="noise")
    stage.until(lambda: RecoveryRun.objects.get().discarded >= MANY // 2)
    workers[driver()].kill()

    stage.until(lambda: RecoveryRun.objects.get().status == "finished")
    run.refresh_from_db()
    assert (run.discarded, run.handled) == (MANY, MANY)
    assert run.items.count() == DeadLetter.objects.filter(status="discarded").count() == MANY
    assert not FallbackJob.objects.exists()


def many_letters() -> list[str]:
    """As many as a run needs some seconds for; returns the ids of their jobs."""
    ids = [f"job-{n}" for n in range(MANY)]
    for start in range(0, MANY, 200):
        few = [snapshot(job_id, "low") for job_id in ids[start : start + 200]]
        DeadLetter.objects.record([DeadLetter.of(job, RAISED, attempts=1) for job in few])
    return ids


def drivers(stage: Stage, queue_name: str) -> dict[str, WorkerProcess]:
    """Two workers, of which the one drives runs when the other is found dead."""
    return {
        name: stage.worker(queue_name, options=["--name", name], settings=SHORT_LEASE)
        for name in ("ann", "bob")
    }


def driver() -> str:
    return BrokerState.objects.values_list("reconciler", flat=True).get()
