"""The history of a job that fails: kept with its letter, bounded, forgotten when it finishes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rq import Retry

from django_resilient_queue.models import DeadLetter, FailedAttempt
from django_resilient_queue.models.failed_attempt import KEPT_OF_EACH_END
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.prune import forget_attempts
from tests.stores import Bench, Worker, snapshot

pytestmark = pytest.mark.django_db


def fail_once(bench: Bench, worker: Worker) -> None:
    claim = worker.take()
    end = worker.failed(claim)
    worker.store.settle(claim, end)
    bench.follow(claim, end)


def test_each_attempt_is_kept_with_the_letter(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=2))
    for name in ("ann", "bob", "eve"):
        fail_once(bench, bench.worker(name))
    history = list(DeadLetter.objects.get().history)
    assert [(each.number, each.worker_name) for each in history] == [
        (0, "ann"),
        (1, "bob"),
        (2, "eve"),
    ]
    for each in history:
        assert (each.error_class, each.message) == ("builtins.ValueError", "no")
        assert "ValueError: no" in each.traceback
        assert each.started_at is not None
        assert each.started_at < each.ended_at


def test_a_job_that_finishes_after_all_leaves_no_history(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=2))
    worker = bench.worker("w")
    fail_once(bench, worker)
    assert FailedAttempt.objects.count() == 1
    claim = worker.take()
    end = worker.finished(claim)
    worker.store.settle(claim, end)
    bench.follow(claim, end)
    assert not FailedAttempt.objects.exists()


def attempt(number: int, words: str = "no") -> FailedAttempt:
    failure = Failure(Reason.RAISED, "E", words, words)
    return FailedAttempt.of(JOB, number, failure, worker_name="w", ended_at=timezone.now())


JOB = snapshot("a")


def test_of_many_attempts_the_first_and_the_last_are_kept() -> None:
    for number in range(3 * KEPT_OF_EACH_END):
        FailedAttempt.objects.record([attempt(number)])
    kept = FailedAttempt.objects.of("a", JOB.generation).values_list("number", flat=True)
    last = range(2 * KEPT_OF_EACH_END, 3 * KEPT_OF_EACH_END)
    assert list(kept) == [*range(KEPT_OF_EACH_END), *last]


def test_an_attempt_that_is_told_twice_is_kept_once() -> None:
    for words in ("first", "second"):
        FailedAttempt.objects.record([attempt(0, words)])
    assert FailedAttempt.objects.get().message == "first"


def test_a_traceback_is_cut_in_its_middle() -> None:
    FailedAttempt.objects.record([attempt(0, "x" * 200_000)])
    text = FailedAttempt.objects.get().traceback
    assert len(text) < 66_000
    assert "[...]" in text


def test_the_history_of_a_job_that_nobody_heard_of_again_is_pruned() -> None:
    FailedAttempt.objects.record([attempt(0)])
    DeadLetter.objects.record([DeadLetter.of(snapshot("b"), Failure(Reason.RAISED), attempts=1)])
    letter = DeadLetter.objects.get()
    mine = attempt(0)
    mine.job_id, mine.generation = letter.job_id, letter.generation
    FailedAttempt.objects.record([mine])
    forget_attempts("default", timezone.now() + timedelta(days=29))
    assert FailedAttempt.objects.count() == 2
    forget_attempts("default", timezone.now() + timedelta(days=31))
    assert [each.job_id for each in FailedAttempt.objects.all()] == ["b"]
