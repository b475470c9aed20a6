"""Promises of the pipes between a worker and its horse; both ends are in this process."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import NoReturn

import pytest

from django_resilient_queue.worker.channel import Channel, Closed, HorseEnd, WorkerEnd

Ends = tuple[WorkerEnd, HorseEnd]


@pytest.fixture
def ends() -> Iterator[Ends]:
    channel = Channel()
    # In one process neither side may close what the other still needs: both are made by hand.
    worker = WorkerEnd(
        channel._permits_out,
        channel._permits_in,
        channel._orders_in,
        channel._reports_out,
        channel._receipts_in,
    )
    horse = HorseEnd(
        os.dup(channel._permits_out),
        channel._orders_out,
        channel._reports_in,
        channel._receipts_out,
    )
    yield worker, horse
    for end in (channel._orders_out, channel._reports_in, channel._receipts_out):
        os.close(end)


@pytest.fixture
def worker(ends: Ends) -> WorkerEnd:
    return ends[0]


@pytest.fixture
def horse(ends: Ends) -> HorseEnd:
    return ends[1]


def test_orders_arrive_in_their_order(worker: WorkerEnd, horse: HorseEnd) -> None:
    worker.give([(1, "one"), (2, "two")])
    worker.give([(3, "three")])
    assert [horse.next_order() for _ in range(3)] == [(1, "one"), (2, "two"), (3, "three")]


def test_what_is_taken_back_is_not_performed(worker: WorkerEnd, horse: HorseEnd) -> None:
    worker.give([(1, "one"), (2, "two"), (3, "three")])
    assert horse.next_order() == (1, "one")
    assert worker.take_back() == [2, 3]
    assert worker.take_back() == []
    worker.give([(4, "four")])
    assert horse.next_order() == (4, "four")


def test_each_order_goes_to_one_side_only(worker: WorkerEnd, horse: HorseEnd) -> None:
    """Also when both reach for the permits at the same time: here in two processes."""
    performed_out, performed_in = os.pipe()
    child = os.fork()
    if child == 0:
        for _ in range(4000):
            number, _ = horse.next_order()
            if number == 0:
                break
            os.write(performed_in, number.to_bytes(4, "big"))
        os._exit(0)
    taken = []
    for start in range(1, 2001, 10):
        worker.give([(n, "order") for n in range(start, start + 10)])
        taken += worker.take_back()
    worker.give([(0, "end")])
    os.waitpid(child, 0)
    os.close(performed_in)
    raw = b""
    while chunk := os.read(performed_out, 65536):
        raw += chunk
    os.close(performed_out)
    performed = [int.from_bytes(raw[i : i + 4], "big") for i in range(0, len(raw), 4)]
    assert sorted(performed + taken) == list(range(1, 2001))


def test_an_order_larger_than_a_pipe_does_not_block_the_worker(
    worker: WorkerEnd, horse: HorseEnd
) -> None:
    large = "x" * 1_000_000
    worker.give([(1, large)])
    unsent = worker.has_unsent
    assert unsent
    child = os.fork()
    if child == 0:
        number, order = horse.next_order()
        os._exit(0 if (number, order) == (1, large) else 1)
    while worker.has_unsent:
        worker.flush()
    assert os.waitpid(child, 0)[1] == 0


def test_reports_are_heard_whole_however_they_arrive(worker: WorkerEnd, horse: HorseEnd) -> None:
    large = "x" * 300_000
    child = os.fork()
    if child == 0:
        for report in ("one", large, "three"):
            horse.report(report)
        os._exit(0)
    heard: list[str] = []
    while len(heard) < 3:
        heard += worker.hear()
    os.waitpid(child, 0)
    assert heard == ["one", large, "three"]
    assert worker.hear() == []
    assert not worker.has_report


def test_a_horse_waits_for_the_receipt_of_what_it_reports(
    worker: WorkerEnd, horse: HorseEnd
) -> None:
    done: list[str] = []

    def save() -> None:
        horse.report_and_wait(lambda number: number)
        done.append("saved")

    thread = Thread(target=save, daemon=True)
    thread.start()
    number = _heard(worker)
    worker.give_receipt(number - 1)  # of something that it did not wait to the end for
    _until_read(horse)
    assert not done
    worker.give_receipt(number)
    thread.join(60)
    assert done == ["saved"]


def test_a_timeout_while_it_waits_does_not_answer_the_next_report(
    worker: WorkerEnd, horse: HorseEnd
) -> None:
    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(TimeoutError):
            horse.report_and_wait(lambda number: number)
    finally:
        signal.signal(signal.SIGALRM, before)
    worker.give_receipt(_heard(worker))  # too late
    thread = Thread(target=horse.report_and_wait, args=(lambda number: number,), daemon=True)
    thread.start()
    number = _heard(worker)
    _until_read(horse)
    assert thread.is_alive()
    worker.give_receipt(number)
    thread.join(60)
    assert not thread.is_alive()


def test_threads_of_a_job_get_a_receipt_each(worker: WorkerEnd, horse: HorseEnd) -> None:
    threads = [
        Thread(target=horse.report_and_wait, args=(lambda number: number,), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        worker.give_receipt(_heard(worker))
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_process_that_a_job_has_forked_takes_no_receipt_of_the_job(
    worker: WorkerEnd, horse: HorseEnd
) -> None:
    child = os.fork()
    if child == 0:
        horse.report_and_wait(lambda number: number)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert _heard(worker) == 0


def test_a_timeout_cuts_no_report_in_two(worker: WorkerEnd, horse: HorseEnd) -> None:
    large = "x" * 1_000_000
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, lambda *_: _raise_timeout())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)  # the pipe is full long before
            horse.report(large)
        except TimeoutError:
            horse.report("timeout")
        os._exit(0)
    _until_pending(child, signal.SIGALRM)
    heard: list[str] = []
    while len(heard) < 2:
        heard += worker.hear()
    os.waitpid(child, 0)
    assert heard == [large, "timeout"]


def test_a_horse_notices_that_its_worker_is_gone(worker: WorkerEnd, horse: HorseEnd) -> None:
    worker.close()
    with pytest.raises(Closed):
        horse.next_order()


def test_a_worker_notices_that_its_horse_is_gone() -> None:
    channel = Channel()
    child = os.fork()
    if child == 0:
        channel.horse_end()
        os._exit(0)
    worker = channel.worker_end()
    os.waitpid(child, 0)
    with pytest.raises(Closed):
        worker.hear()
    with pytest.raises(Closed):
        worker.give([(1, "order")])
    worker.close()


def _heard(worker: WorkerEnd) -> int:
    """The next report, as soon as it has come; it is the number of the receipt."""
    assert select.select([worker], [], [], 10)[0]
    (number,) = worker.hear()
    return int(number)


def _until_read(horse: HorseEnd) -> None:
    """Wait until the horse has taken the receipts that it was given."""
    while select.select([horse._receipts], [], [], 0)[0]:
        time.sleep(0.001)


def _raise_timeout() -> NoReturn:
    raise TimeoutError


def _until_pending(pid: int, number: int) -> None:
    """Wait until a signal has come to a process that does not take it yet."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        status = Path(f"/proc/{pid}/status").read_text()
        if int(status.partition("ShdPnd:")[2].split()[0], 16) >> (number - 1) & 1:
            return
        time.sleep(0.001)
    raise AssertionError(f"signal {number} is not pending: it was taken")
