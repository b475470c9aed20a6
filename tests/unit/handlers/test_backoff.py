"""Promises of the delays between attempts."""

from __future__ import annotations

import pytest

from django_resilient_queue import Priority, exponential, fixed
from django_resilient_queue.handlers.backoff import Backoff, effort_for


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("priority", "attempts", "delays"),
    [
        (20, 5, [1, 2, 4, 8]),
        (Priority.CRITICAL, 5, [1, 2, 4, 8]),
        (14, 4, [2, 4, 8]),
        (Priority.HIGH, 4, [2, 4, 8]),
        (9, 3, [5, 10]),
        (Priority.NORMAL, 3, [5, 10]),
        (4, 2, [10]),
        (Priority.LOW, 2, [10]),
    ],
)
def test_a_priority_says_how_often_and_how_far_apart(
    priority: int, attempts: int, delays: list[int]
) -> None:
    effort = effort_for(priority)
    assert effort.attempts == attempts
    assert effort.backoff.intervals(attempts - 1, draw=least) == delays


def test_jobs_that_fail_together_do_not_come_back_together() -> None:
    """Up to half of the delay later; short delays are spread as well."""
    assert exponential(8).intervals(2, draw=most) == [12, 24]
    assert {exponential(1).intervals(1)[0] for _ in range(200)} == {1, 2}
    assert len({exponential(100).intervals(1)[0] for _ in range(50)}) > 10


def test_a_delay_grows_no_further_than_its_cap() -> None:
    assert exponential(60, cap=100).intervals(3, draw=most) == [90, 100, 100]
    assert max(exponential(60).intervals(2000)) == 3600


def test_a_fixed_delay_is_the_same_each_time() -> None:
    assert fixed(7).intervals(3, draw=least) == [7, 7, 7]
    assert fixed(0).intervals(2) == [0, 0]
    assert set(fixed(7200).intervals(50)) == {7200}


@pytest.mark.parametrize(
    "values", [(-1,), (10, 2, 5), (1, 0.5), (1, 2, 10, 0), (float("nan"),), (float("inf"),)]
)
def test_what_is_no_delay_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a delay is"):
        Backoff(*values)
