"""Claims are renewed and given back, and another may take them over meanwhile."""

from __future__ import annotations

import pytest
from rq import Retry

from tests.stores import Bench, ids, taken_over

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_claim_that_is_renewed_is_kept(bench: Bench) -> None:
    bench.put_all(["a", "b"])
    worker = bench.worker("w")
    claims = worker.claim()
    assert worker.renew(*claims) == set()


def test_renewing_nothing_loses_nothing(bench: Bench) -> None:
    bench.put("a")
    assert bench.worker("w").renew() == set()


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
