"""One contract, `stores/base.py`, kept by both stores; what an operator sees is the same word."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from rq import Repeat, Retry

from django_resilient_queue import (
    get_job,
    pause_all,
    pause_queue,
    resume_all,
    resume_queue,
)
from django_resilient_queue.stores.base import Claim, Verdict
from example_project.servers import RedisServer
from tests.stores import QUEUES, STORES, Bench, Worker, as_of, bench_of, letters

# Redis hears of a pause after the commit.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, redis_server: RedisServer) -> Bench:
    return bench_of(request.param, redis_server)


def ids(claims: list[Claim]) -> list[str]:
    return [claim.job_id for claim in claims]


def numbers(count: int) -> list[str]:
    return [f"{n:02}" for n in range(count)]


# ---- claim ------------------------------------------------------------------------------------


def test_an_empty_store_has_nothing_to_claim(bench: Bench) -> None:
    bench.put("a")
    worker = bench.worker("w")
    worker.claim()
    assert worker.claim() == []


def test_jobs_are_claimed_oldest_first(bench: Bench) -> None:
    bench.put_all(numbers(5))
    assert ids(bench.worker("w").claim()) == numbers(5)


def test_the_more_urgent_queue_goes_first(bench: Bench) -> None:
    for name in reversed(QUEUES):
        bench.put_all([f"{name}-1", f"{name}-2"], name)
    claimed = ids(bench.worker("w").claim(*QUEUES))
    assert claimed == [f"{name}-{n}" for name in QUEUES for n in (1, 2)]


def test_queues_are_claimed_from_in_the_order_that_the_worker_names(bench: Bench) -> None:
    for name in QUEUES:
        bench.put(name, name)
    worker = bench.worker("w")
    assert ids(worker.claim("low", "critical", "default", "high")) == [
        "low",
        "critical",
        "default",
        "high",
    ]


def test_a_job_for_the_front_overtakes_those_that_wait(bench: Bench) -> None:
    bench.put_all(["a", "b"])
    bench.put("front", at_front=True)
    assert ids(bench.worker("w").claim()) == ["front", "a", "b"]


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_no_more_are_claimed_than_asked_for(bench: Bench, limit: int) -> None:
    bench.put_all(numbers(5))
    worker = bench.worker("w")
    assert ids(worker.claim(limit=limit)) == numbers(5)[:limit]
    assert ids(worker.claim(limit=10)) == numbers(5)[limit:]


def test_the_limit_counts_over_all_queues(bench: Bench) -> None:
    bench.put_all(["a", "b"], "high")
    bench.put_all(["c", "d"], "low")
    assert ids(bench.worker("w").claim("high", "low", limit=3)) == ["a", "b", "c"]


def test_only_the_queues_asked_for_are_claimed_from(bench: Bench) -> None:
    bench.put("a", "high")
    bench.put("b", "low")
    assert ids(bench.worker("w").claim("low")) == ["b"]
    assert bench.state("a") == "waiting"


def test_a_paused_queue_keeps_its_jobs_and_holds_up_no_other(bench: Bench) -> None:
    bench.put("a", "high")
    bench.put("b", "low")
    pause_queue("high")
    assert ids(bench.worker("w").claim(*QUEUES)) == ["b"]
    resume_queue("high")
    assert ids(bench.worker("w").claim(*QUEUES)) == ["a"]


def test_while_all_are_paused_nothing_is_claimed_whichever_queue_is_resumed(bench: Bench) -> None:
    bench.put("a", "high")
    pause_queue("high")
    pause_all()
    resume_queue("high")
    assert bench.worker("w").claim(*QUEUES) == []
    resume_all()
    assert ids(bench.worker("w").claim(*QUEUES)) == ["a"]


def test_a_claim_carries_the_whole_job(bench: Bench) -> None:
    job = bench.put("a", meta={"user": 7})
    claim = bench.worker("w").take()
    assert (claim.snapshot.generation, claim.attempt, claim.rescues) == (job.generation, 0, 0)
    assert claim.store == bench.name
    for name in ("data", "meta", "description", "created_at"):
        assert claim.snapshot.fields[name] == job.fields[name]


def test_a_claimed_job_is_active(bench: Bench) -> None:
    bench.put("a")
    bench.worker("w").take()
    assert bench.state("a") == "active"


@pytest.mark.django_db(transaction=True)
def test_two_claimers_at_once_get_disjoint_jobs_and_none_is_left_out(bench: Bench) -> None:
    bench.put_all(numbers(40))
    start = threading.Barrier(4)
    claimed: list[str] = []

    def claim(name: str) -> None:
        worker = bench.worker(name)
        start.wait(60)
        try:
            while found := worker.claim(limit=3):
                claimed.extend(ids(found))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    claimed += ids(bench.worker("last").claim(limit=40))  # what a locked row kept from the others
    assert sorted(claimed) == numbers(40)


def test_a_job_that_has_outlived_its_ttl_is_not_claimed(bench: Bench) -> None:
    bench.put("a", ttl=60)
    bench.put("b")
    bench.outlive("a")
    assert ids(bench.worker("w").claim()) == ["b"]


def test_a_job_that_cannot_be_read_keeps_no_other_from_being_claimed(bench: Bench) -> None:
    bench.put_all(["a", "b", "c"])
    bench.spoil("b")
    worker = bench.worker("w")
    assert ids(worker.claim()) == ["a", "c"]
    assert worker.claim() == []


# ---- renew and release ------------------------------------------------------------------------


def test_a_claim_that_is_renewed_is_kept(bench: Bench) -> None:
    bench.put_all(["a", "b"])
    worker = bench.worker("w")
    claims = worker.claim()
    assert worker.renew(*claims) == set()


def test_renewing_nothing_loses_nothing(bench: Bench) -> None:
    bench.put("a")
    assert bench.worker("w").renew() == set()


def taken_over(bench: Bench) -> tuple[Worker, Claim, Worker, Claim]:
    """A job that one worker lost to another, which now executes it."""
    bench.put("a", retry=Retry(max=3))
    late, other = bench.worker("late"), bench.worker("other")
    claim = late.take()
    assert other.store.release(claim)
    return late, claim, other, other.take()


def test_a_claim_that_another_took_over_is_lost(bench: Bench) -> None:
    late, claim, other, theirs = taken_over(bench)
    assert late.renew(claim) == {claim.token}
    assert other.renew(theirs) == set()


def test_of_two_claims_the_lost_one_alone_is_named(bench: Bench) -> None:
    bench.put_all(["a", "b"])
    worker = bench.worker("w")
    first, second = worker.claim(limit=1) + worker.claim(limit=1)
    bench.worker("other").store.release(first)
    assert worker.renew(first, second) == {first.token}


def test_a_released_job_waits_again_before_the_others(bench: Bench) -> None:
    bench.put_all(["a", "b"])
    worker = bench.worker("w")
    (claim,) = worker.claim(limit=1)
    assert worker.store.release(claim)
    assert bench.state("a") == "waiting"
    assert ids(worker.claim()) == ["a", "b"]


def test_a_release_uses_up_no_attempt(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=1))
    worker = bench.worker("w")
    worker.store.release(worker.take())
    again = worker.take()
    assert (again.attempt, again.snapshot.number("retries_left")) == (0, 1)


def test_a_job_is_released_once_and_only_by_its_claim(bench: Bench) -> None:
    late, claim, other, theirs = taken_over(bench)
    assert not late.store.release(claim)
    assert bench.state("a") == "active"
    assert other.store.release(theirs)
    assert not other.store.release(theirs)


# ---- settle -----------------------------------------------------------------------------------


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


# ---- only the first settlement of an attempt counts -------------------------------------------

each_ending = pytest.mark.parametrize("ending", ["finished", "failed", "stopped"])


@each_ending
def test_a_late_worker_cannot_settle_what_another_executes(bench: Bench, ending: str) -> None:
    late, claim, other, theirs = taken_over(bench)
    assert late.store.settle(claim, getattr(late, ending)(claim)) is Verdict.LOST
    assert bench.state("a") == "active"
    assert other.renew(theirs) == set()
    assert other.store.settle(theirs, other.finished(theirs)) is Verdict.WON
    assert bench.state("a") == "completed"


@each_ending
def test_a_late_worker_cannot_change_what_another_has_settled(bench: Bench, ending: str) -> None:
    late, claim, other, theirs = taken_over(bench)
    other.store.settle(theirs, other.finished(theirs))
    verdict = late.store.settle(claim, getattr(late, ending)(claim))
    assert verdict in (Verdict.LOST, Verdict.SETTLED)
    assert bench.state("a") == "completed"


@each_ending
def test_settling_twice_counts_once(bench: Bench, ending: str) -> None:
    bench.put("a")
    worker = bench.worker("w")
    claim = worker.take()
    end = getattr(worker, ending)(claim)
    assert worker.store.settle(claim, end) is Verdict.WON
    bench.follow(claim, end)
    before = (bench.state("a"), letters())
    assert worker.store.settle(claim, end) in (Verdict.SETTLED, Verdict.LOST)
    bench.follow(claim, end)
    assert (bench.state("a"), letters()) == before
    assert worker.claim() == []


def test_a_retry_that_is_settled_twice_is_queued_once(bench: Bench) -> None:
    bench.put("a", retry=Retry(max=3))
    worker = bench.worker("w")
    claim = worker.take()
    worker.store.settle(claim, worker.failed(claim))
    assert worker.store.settle(claim, worker.failed(claim)) is Verdict.LOST
    assert ids(worker.claim()) == ["a"]


@each_ending
def test_a_claim_of_an_earlier_generation_settles_nothing(bench: Bench, ending: str) -> None:
    bench.put("a")
    worker = bench.worker("w")
    claim = worker.take()
    newer = bench.put("a")
    worker.store.settle(claim, getattr(worker, ending)(claim))
    assert bench.state("a") == "waiting"
    assert worker.take().snapshot.generation == newer.generation


def test_a_claim_with_a_foreign_token_settles_nothing(bench: Bench) -> None:
    bench.put("a")
    worker = bench.worker("w")
    claim = worker.take()
    forged = as_of(claim, token="0" * 32)
    assert worker.store.settle(forged, worker.failed(forged)) is Verdict.LOST
    assert bench.state("a") == "active"


# ---- many at once -----------------------------------------------------------------------------


def test_a_batch_settles_each_job_by_its_own_end(bench: Bench) -> None:
    bench.put_all(["a", "b", "c"])
    bench.put("d", retry=Retry(max=1))
    worker = bench.worker("w")
    a, b, c, d = worker.claim()
    ends = [
        (a, worker.finished(a)),
        (b, worker.failed(b)),
        (c, worker.finished(c)),
        (d, worker.failed(d)),
    ]
    assert set(worker.settle_all(ends).values()) == {Verdict.WON}
    for end in ends:
        bench.follow(*end)
    assert [bench.state(each) for each in "abcd"] == ["completed", "dead", "completed", "waiting"]


def test_a_batch_wins_only_what_is_still_its_workers(bench: Bench) -> None:
    late, claim, other, theirs = taken_over(bench)
    bench.put_all(["b", "c"])
    b, c = late.claim()
    ends = [(each, late.finished(each)) for each in (claim, b, c)]
    verdicts = late.settle_all(ends)
    assert verdicts == {"a": Verdict.LOST, "b": Verdict.WON, "c": Verdict.WON}
    assert [bench.state(each) for each in "abc"] == ["active", "completed", "completed"]
    assert other.store.settle(theirs, other.finished(theirs)) is Verdict.WON


def test_a_batch_of_a_hundred_is_settled_twice_and_counts_once(bench: Bench) -> None:
    names = [f"{n:03}" for n in range(100)]
    bench.put_all(names)
    worker = bench.worker("w")
    ends = [(claim, worker.finished(claim)) for claim in worker.claim(limit=100)]
    assert set(worker.settle_all(ends).values()) == {Verdict.WON}
    before = [bench.look(name) for name in names]
    assert all(info.state == "completed" for info in before)
    assert Verdict.LOST not in set(worker.settle_all(ends).values())
    assert [bench.look(name) for name in names] == before
