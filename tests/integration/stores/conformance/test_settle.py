"""An end is recorded: what an operator then sees is the same word in both stores."""

from __future__ import annotations

import pytest
from rq import Repeat, Retry

from django_resilient_queue import (
    get_job,
)
from django_resilient_queue.stores.base import Verdict
from tests.stores import Bench, ids, letters

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_finished_job_is_completed_and_never_claimed_again(bench: Bench) -> None:
    bench.put("a")
    worker = bench.worker("w")
    claim = worker.take()
    assert worker.store.settle(claim, worker.finished(claim)) is Verdict.WON
    assert bench.state("a") == "completed"
    assert worker.claim() == []
    assert worker.renew(claim) == {claim.token}


def test_a_job_whose_result_is_not_kept_leaves_nothing(bench: Bench) -> None:
    bench.put("a", result_ttl=0)
    worker = bench.worker("w")
    claim = worker.take()
    worker.store.settle(claim, worker.finished(claim))
    bench.follow(claim, worker.finished(claim))
    assert get_job("a") is None


def test_a_retry_without_an_interval_waits_at_once(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=2))
    worker = bench.worker("w")
    first = worker.take()
    assert worker.store.settle(first, worker.failed(first)) is Verdict.WON
    assert bench.state("a") == "waiting"
    second = worker.take()
    assert (second.attempt, second.snapshot.number("retries_left")) == (1, 1)
    assert second.snapshot.generation == first.snapshot.generation
    assert second.token != first.token
    assert letters() == []


def test_a_retry_waits_behind_the_others_unless_it_is_for_the_front(bench: Bench) -> None:
    bench.put("front", retry=Retry(max=1, enqueue_at_front=True))
    worker = bench.worker("w")
    claim = worker.take()
    bench.put("b")
    worker.store.settle(claim, worker.failed(claim))
    assert ids(worker.claim()) == ["front", "b"]


def test_a_retry_goes_to_the_back_of_its_queue(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=1))
    worker = bench.worker("w")
    claim = worker.take()
    bench.put("b")
    worker.store.settle(claim, worker.failed(claim))
    assert ids(worker.claim()) == ["b", "a"]


def test_a_delayed_retry_is_not_claimed_before_it_is_due(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=1, interval=3600))
    worker = bench.worker("w")
    claim = worker.take()
    assert worker.store.settle(claim, worker.failed(claim)) is Verdict.WON
    assert bench.state("a") == "delayed"
    assert worker.claim() == []
    bench.make_due("a")
    assert bench.state("a") == "waiting"
    assert worker.take().attempt == 1


def test_a_returned_retry_counts_to_its_max(bench: Bench) -> None:
    bench.put("a")
    worker = bench.worker("w")
    for done in range(2):
        claim = worker.take()
        assert claim.snapshot.number("number_of_retries") == (done or None)
        end = worker.returned_retry(claim, maximum=2)
        assert worker.store.settle(claim, end) is Verdict.WON
    claim = worker.take()
    end = worker.returned_retry(claim, maximum=2)
    assert worker.store.settle(claim, end) is Verdict.WON
    bench.follow(claim, end)
    assert letters() == [("a", "retries_exceeded")]


def test_a_job_without_a_retry_left_is_a_dead_letter(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=1))
    worker = bench.worker("w")
    for _ in range(2):
        claim = worker.take()
        end = worker.failed(claim)
        assert worker.store.settle(claim, end) is Verdict.WON
        bench.follow(claim, end)
    found = bench.look("a")
    assert (found.state, found.attempts) == ("dead", 2)
    assert found.error == "builtins.ValueError: no"
    assert letters() == [("a", "raised")]
    assert worker.claim() == []


def test_a_stopped_job_is_cancelled_and_no_dead_letter(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=3))
    worker = bench.worker("w")
    claim = worker.take()
    end = worker.stopped(claim)
    assert worker.store.settle(claim, end) is Verdict.WON
    bench.follow(claim, end)
    assert bench.state("a") == "cancelled"
    assert letters() == []
    assert worker.claim() == []


@pytest.mark.parametrize("interval", [0, 3600])
def test_a_repeat_runs_again_as_a_new_generation(bench: Bench, interval: int) -> None:
    bench.put("a", repeat=Repeat(times=1, interval=interval))
    worker = bench.worker("w")
    first = worker.take()
    assert worker.store.settle(first, worker.finished(first)) is Verdict.WON
    if interval:
        assert bench.state("a") == "delayed"
        assert worker.claim() == []
        bench.make_due("a")
    second = worker.take()
    assert second.snapshot.generation not in ("", first.snapshot.generation)
    assert (second.attempt, second.snapshot.number("repeats_left")) == (0, 0)
    assert worker.store.settle(second, worker.finished(second)) is Verdict.WON
    assert bench.state("a") == "completed"
