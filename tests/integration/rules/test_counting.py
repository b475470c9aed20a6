"""What workers count is kept once, whatever becomes of them."""

from __future__ import annotations

from pytest_django import Settings

from django_resilient_queue.facts import database_facts
from django_resilient_queue.models import WorkerHeartbeat
from django_resilient_queue.recovery.prune import prune
from tests.integration.rules.bench import Clock, DrivenWorker, enqueue, failed


def counted() -> dict[str, int]:
    """Of all workers that there ever were, without zeros."""
    counts = database_facts("default").counts
    return {name.removeprefix("jobs_"): count for name, count in counts.items() if count}


def perform(worker: DrivenWorker, *job_ids: str) -> None:
    for job_id in job_ids:
        enqueue(job_id)
        worker.end(worker.take())
        worker.settle()


def watch_until_stale(observer: DrivenWorker, clock: Clock) -> None:
    """The observer looks at a heartbeat that does not move for a lease."""
    for _ in range(4):
        observer.beat()
        clock.advance(4)
    observer.beat()


def test_each_end_counts_by_how_it_ended(ann: DrivenWorker) -> None:
    ann.come_home()
    perform(ann, "a", "b")
    enqueue("c")
    claim = ann.take()
    ann.end(claim, failed(claim, "ann"))
    ann.settle()
    ann.beat()
    assert counted() == {"finished": 2, "failed": 1}


def test_an_end_that_another_settled_does_not_count(ann: DrivenWorker) -> None:
    ann.come_home()
    enqueue("a")
    claim = ann.take()
    ann.redis.link.client.flushall()
    ann.end(claim, failed(claim, "ann"))
    ann.table.rows.all().delete()
    ann.settle()
    ann.beat()
    assert counted() == {}


def test_jobs_from_the_database_count_there_as_well(ann: DrivenWorker) -> None:
    ann.lose_redis()
    perform(ann, "a")
    ann.beat()
    assert counted() == {"finished": 1, "from_database": 1}


def test_a_worker_that_leaves_leaves_its_counts(ann: DrivenWorker) -> None:
    ann.come_home()
    perform(ann, "a")
    ann.modes.leave()
    assert not WorkerHeartbeat.objects.exists()
    assert counted() == {"finished": 1}


def test_the_counts_of_a_worker_that_died_are_kept(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    ann.come_home()
    bob.come_home()
    perform(ann, "a")
    ann.beat()
    watch_until_stale(bob, clock)
    prune(bob.station)
    assert list(WorkerHeartbeat.objects.values_list("name", flat=True)) == ["bob"]
    assert counted() == {"finished": 1}


def test_a_worker_that_was_taken_for_dead_counts_on_from_there(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    ann.come_home()
    bob.come_home()
    perform(ann, "a", "b")
    ann.beat()
    watch_until_stale(bob, clock)
    prune(bob.station)
    ann.come_home()
    perform(ann, "c")
    ann.beat()
    assert counted() == {"finished": 3}


def test_what_is_done_while_the_database_is_away_counts_when_it_is_back(
    ann: DrivenWorker, settings: Settings
) -> None:
    ann.come_home()
    with ann.cut_from_database(settings):
        ann.beat()
        perform(ann, "a")
    ann.beat()
    ann.settle()
    ann.beat()
    assert counted() == {"finished": 1}


def test_a_worker_that_moves_while_it_is_pruned_stays(
    ann: DrivenWorker, bob: DrivenWorker, clock: Clock
) -> None:
    ann.come_home()
    bob.come_home()
    watch_until_stale(bob, clock)
    ann.beat()
    prune(bob.station)
    assert WorkerHeartbeat.objects.count() == 2
