"""Only the first settlement of an attempt counts, one by one and many at once."""

from __future__ import annotations

import pytest
from rq import Retry

from django_resilient_queue.stores.base import Verdict
from tests.stores import Bench, as_of, ids, letters, taken_over

pytestmark = pytest.mark.django_db(transaction=True)


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
