"""Promises of the circuit breaker."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from django_resilient_queue.breaker import CircuitBreaker, CircuitState, Permit, _Circuit

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
THRESHOLD, RECOVERY_TIMEOUT, RESET_TIMEOUT = 3, 30.0, 60.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def changes() -> list[tuple[CircuitState, CircuitState]]:
    """Collect what on_change is told."""
    return []


@pytest.fixture
def breaker(clock: Clock, changes: list[Any]) -> CircuitBreaker:
    """Give a closed circuit."""
    return CircuitBreaker(
        threshold=THRESHOLD,
        recovery_timeout=RECOVERY_TIMEOUT,
        reset_timeout=RESET_TIMEOUT,
        clock=clock,
        on_change=lambda old, new: changes.append((old, new)),
    )


@pytest.fixture
def early(breaker: CircuitBreaker) -> Permit:
    """Give the permit of a call that begins while the circuit is closed, and ends late."""
    return breaker.allow()


@pytest.fixture
def open_breaker(breaker: CircuitBreaker) -> CircuitBreaker:
    """Give an open circuit."""
    fail(breaker, THRESHOLD)
    return breaker


@pytest.fixture
def due_breaker(open_breaker: CircuitBreaker, clock: Clock) -> CircuitBreaker:
    """Give an open circuit whose recovery timeout has passed."""
    clock.now += RECOVERY_TIMEOUT
    return open_breaker


def fail(breaker: CircuitBreaker, times: int = 1) -> bool:
    """Make failing calls; answer as the last of them."""
    opened = False
    for _ in range(times):
        opened = breaker.record_failure(breaker.allow())
    return opened


def in_threads(count: int, act: Callable[[], None]) -> None:
    """Run *act* in threads that start together."""
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        act()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_a_closed_circuit_lets_every_call_through(breaker: CircuitBreaker) -> None:
    """Calls do not wait for each other, and their successes change nothing."""
    permits = [breaker.allow() for _ in range(100)]
    assert (all(permits), any(map(breaker.record_success, permits))) == (True, False)


def test_one_failure_below_the_threshold_leaves_the_circuit_closed(breaker: CircuitBreaker) -> None:
    """The last failure before the threshold changes nothing."""
    opened = fail(breaker, THRESHOLD - 1)
    assert (opened, breaker.state, breaker.failures) == (False, CLOSED, THRESHOLD - 1)


def test_the_failure_that_reaches_the_threshold_opens_the_circuit(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    """Its reporter learns that it was the one."""
    fail(breaker, THRESHOLD - 1)
    clock.now += 1
    assert fail(breaker) is True
    assert (breaker.state, breaker.opened_at) == (OPEN, clock.now)


def test_an_open_circuit_lets_no_call_through(open_breaker: CircuitBreaker, clock: Clock) -> None:
    """Up to the last moment before the recovery timeout."""
    clock.now += RECOVERY_TIMEOUT - 0.001
    assert not any(open_breaker.allow() for _ in range(100))


def test_a_success_in_between_makes_the_count_begin_again(breaker: CircuitBreaker) -> None:
    """Only consecutive failures count."""
    fail(breaker, THRESHOLD - 1)
    breaker.record_success(breaker.allow())
    fail(breaker, THRESHOLD - 1)
    assert breaker.state is CLOSED


def test_failures_older_than_the_reset_timeout_are_forgotten(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    """Rare failures never add up."""
    fail(breaker, THRESHOLD - 1)
    clock.now += RESET_TIMEOUT + 0.001
    assert (breaker.failures, fail(breaker)) == (0, False)


def test_failures_as_old_as_the_reset_timeout_still_count(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    """The timeout itself is within the time."""
    fail(breaker, THRESHOLD - 1)
    clock.now += RESET_TIMEOUT
    assert fail(breaker) is True


def test_each_failure_ages_by_itself(breaker: CircuitBreaker, clock: Clock) -> None:
    """A recent failure does not keep an old one alive."""
    for _ in range(10):
        fail(breaker)
        clock.now += RESET_TIMEOUT / (THRESHOLD - 1) + 1
    assert breaker.state is CLOSED


def test_after_the_recovery_timeout_one_call_probes_and_the_others_are_refused(
    due_breaker: CircuitBreaker,
) -> None:
    """A recovering server is not stormed."""
    answers = [bool(due_breaker.allow()) for _ in range(100)]
    assert (answers.count(True), due_breaker.state) == (1, HALF_OPEN)


def test_of_two_threads_that_ask_at_once_one_gets_to_probe(
    due_breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither decides while the other does."""
    deciding = threading.Barrier(2)
    probed = _Circuit.probed

    def meet_and_decide(circuit: _Circuit, now: float, patience: float) -> _Circuit:
        with suppress(threading.BrokenBarrierError):  # Alone in here, as it should be.
            deciding.wait(timeout=0.2)
        return probed(circuit, now, patience)

    monkeypatch.setattr(_Circuit, "probed", meet_and_decide)
    permits: list[Permit] = []
    in_threads(2, lambda: permits.append(due_breaker.allow()))
    assert sorted(bool(permit) for permit in permits) == [False, True]


def test_a_probe_that_succeeds_closes_the_circuit(due_breaker: CircuitBreaker) -> None:
    """Its reporter learns that it was the one."""
    assert due_breaker.record_success(due_breaker.allow()) is True
    assert (due_breaker.state, due_breaker.failures, due_breaker.opened_at) == (CLOSED, 0, None)


def test_a_probe_that_fails_opens_the_circuit_for_another_recovery_timeout(
    due_breaker: CircuitBreaker, clock: Clock
) -> None:
    """The wait begins anew."""
    fail(due_breaker)
    clock.now += RECOVERY_TIMEOUT - 0.001
    assert not due_breaker.allow()
    clock.now += 0.001
    assert due_breaker.allow()


def test_one_failure_of_a_probe_is_enough(breaker: CircuitBreaker, clock: Clock) -> None:
    """The threshold is for closed circuits."""
    breaker.trip()
    clock.now += RECOVERY_TIMEOUT
    fail(breaker)
    assert breaker.state is OPEN


def test_a_failed_probe_does_not_begin_a_new_outage(due_breaker: CircuitBreaker) -> None:
    """Neither for its reporter nor in `opened_at`."""
    opened_at = due_breaker.opened_at
    assert fail(due_breaker) is False
    assert due_breaker.opened_at == opened_at


def test_a_probe_that_never_reports_is_replaced_after_the_recovery_timeout(
    due_breaker: CircuitBreaker, clock: Clock
) -> None:
    """Its thread may have been killed."""
    due_breaker.allow()
    clock.now += RECOVERY_TIMEOUT
    assert [bool(due_breaker.allow()) for _ in range(2)] == [True, False]


def test_a_replaced_probe_no_longer_counts(due_breaker: CircuitBreaker, clock: Clock) -> None:
    """Its failure would throw away the answer of the probe that replaced it."""
    replaced = due_breaker.allow()
    clock.now += RECOVERY_TIMEOUT
    probe = due_breaker.allow()
    due_breaker.record_failure(replaced)
    assert due_breaker.record_success(probe) is True


def test_a_late_success_leaves_the_circuit_open(
    early: Permit, open_breaker: CircuitBreaker
) -> None:
    """It says how Redis was, not how it is."""
    assert open_breaker.record_success(early) is False
    assert open_breaker.state is OPEN


def test_a_late_success_from_before_the_outage_does_not_stand_in_for_the_probe(
    early: Permit, due_breaker: CircuitBreaker
) -> None:
    """Half open is closed by the probe alone."""
    due_breaker.allow()
    due_breaker.record_success(early)
    assert due_breaker.state is HALF_OPEN


def test_a_late_failure_from_before_the_outage_does_not_count_against_the_probe(
    early: Permit, due_breaker: CircuitBreaker
) -> None:
    """A call that hung since then must not keep the circuit open."""
    probe = due_breaker.allow()
    due_breaker.record_failure(early)
    assert due_breaker.record_success(probe) is True


def test_a_late_failure_is_not_held_against_the_time_after_the_outage(
    early: Permit, open_breaker: CircuitBreaker
) -> None:
    """The new Redis is not blamed for the old one."""
    open_breaker.close()
    open_breaker.record_failure(early)
    assert open_breaker.failures == 0


def test_late_failures_do_not_lengthen_an_outage(
    early: Permit, open_breaker: CircuitBreaker, clock: Clock
) -> None:
    """Calls under way when the circuit opened fail after it."""
    clock.now += RECOVERY_TIMEOUT - 1
    open_breaker.record_failure(early)
    clock.now += 1
    assert open_breaker.allow()


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN])
def test_a_call_that_was_refused_has_no_outcome_to_report(
    open_breaker: CircuitBreaker, clock: Clock, state: CircuitState
) -> None:
    """A caller that reports anyway changes nothing."""
    if state is HALF_OPEN:
        clock.now += RECOVERY_TIMEOUT
        open_breaker.allow()
    refused = open_breaker.allow()
    open_breaker.record_success(refused)
    open_breaker.record_failure(refused)
    assert open_breaker.state is state


def test_tripping_opens_at_once_and_says_whether_it_did(breaker: CircuitBreaker) -> None:
    """Another process has counted already."""
    assert [breaker.trip(), breaker.trip()] == [True, False]
    assert (breaker.state, bool(breaker.allow())) == (OPEN, False)


def test_tripping_does_not_lengthen_an_outage(due_breaker: CircuitBreaker) -> None:
    """Each process reports the same outage."""
    due_breaker.trip()
    assert due_breaker.allow()


def test_tripping_does_not_take_the_word_from_a_probe(due_breaker: CircuitBreaker) -> None:
    """The report may be older than the probe."""
    probe = due_breaker.allow()
    assert due_breaker.trip() is False
    assert due_breaker.record_success(probe) is True


def test_closing_ends_the_outage_and_says_whether_it_did(open_breaker: CircuitBreaker) -> None:
    """A worker that probes every second closes the circuit for all."""
    assert [open_breaker.close(), open_breaker.close()] == [True, False]
    assert (open_breaker.state, bool(open_breaker.allow())) == (CLOSED, True)


def test_a_probe_outlived_by_the_outage_reports_nothing(due_breaker: CircuitBreaker) -> None:
    """Someone else closed the circuit while it was under way."""
    probe = due_breaker.allow()
    due_breaker.close()
    assert due_breaker.record_failure(probe) is False
    assert (due_breaker.state, due_breaker.failures) == (CLOSED, 0)


def test_limits_given_as_functions_are_read_at_each_use(clock: Clock) -> None:
    """Settings may be overridden after the breaker was made."""
    limits = {"threshold": 5.0, "recovery": 30.0, "reset": 60.0}
    breaker = CircuitBreaker(
        threshold=lambda: limits["threshold"],
        recovery_timeout=lambda: limits["recovery"],
        reset_timeout=lambda: limits["reset"],
        clock=clock,
    )
    fail(breaker)
    limits.update(threshold=2, recovery=1)
    assert fail(breaker) is True
    clock.now += 1
    assert breaker.allow()


def test_every_change_is_announced_once_and_in_order(
    breaker: CircuitBreaker, clock: Clock, changes: list[Any]
) -> None:
    """Calls that change nothing are silent."""
    fail(breaker, THRESHOLD)
    breaker.trip()
    clock.now += RECOVERY_TIMEOUT
    fail(breaker)
    clock.now += RECOVERY_TIMEOUT
    breaker.record_success(breaker.allow())
    breaker.close()
    assert changes == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]


def test_a_listener_may_use_the_breaker_that_calls_it(clock: Clock) -> None:
    """The lock is not held while it is told."""
    seen: list[bool] = []
    circuit: CircuitBreaker

    def close_again(old: CircuitState, new: CircuitState) -> None:
        seen.append(new is OPEN and circuit.close())

    circuit = CircuitBreaker(
        threshold=1, recovery_timeout=1, reset_timeout=1, clock=clock, on_change=close_again
    )
    thread = threading.Thread(target=lambda: fail(circuit), daemon=True)
    thread.start()
    thread.join(60)
    assert seen == [False, True]


def test_many_threads_that_fail_at_once_open_the_circuit_once(
    breaker: CircuitBreaker, changes: list[Any]
) -> None:
    """One of them writes the outage down."""
    answers: list[bool] = []
    in_threads(32, lambda: answers.append(fail(breaker)))
    assert (answers.count(True), changes) == (1, [(CLOSED, OPEN)])


def test_a_child_forked_while_a_thread_held_the_lock_can_use_the_circuit(
    breaker: CircuitBreaker,
) -> None:
    """The thread does not exist in the child and would never let go."""
    with breaker._lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not see a child that leaves by _exit
            threading.Thread(target=lambda: os._exit(breaker.trip() is not True)).start()
            threading.Event().wait(60)
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
