"""Claims: what a worker gets of a store, in which order, and what it does not get."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from django_resilient_queue import (
    pause_all,
    pause_queue,
    resume_all,
    resume_queue,
)
from tests.stores import QUEUES, Bench, ids

# Redis hears of a pause after the commit.
pytestmark = pytest.mark.django_db(transaction=True)


def numbers(count: int) -> list[str]:
    return [f"{n:02}" for n in range(count)]


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
