"""What a process counts in memory: buckets, bounds, forks."""

from __future__ import annotations

import ctypes
import marshal
import os
import signal
import threading

import pytest

from django_resilient_queue import meter as meters
from django_resilient_queue.meter import (
    BOUNDS,
    BUCKETS,
    OTHER,
    Key,
    Kind,
    Meter,
    from_plain,
    label_of,
    plain,
)

KEY = Key(Kind.ENQUEUED, "default", "shop.jobs.send", "redis")


def test_seconds_fall_into_the_first_bucket_that_takes_them() -> None:
    meter = Meter()
    meter.count(KEY, seconds=0.0005)  # a bound is inclusive
    meter.count(KEY, 2, seconds=0.0006)
    meter.count(KEY, seconds=60.0, failed=1)
    sums = meter.take()[KEY]
    assert (sums.count, sums.failed, sums.buckets[:2], sums.buckets[-1]) == (4, 1, [1, 2], 1)
    assert sums.seconds == pytest.approx(60.0017)


def test_every_kind_has_as_many_bounds_as_the_table_has_columns() -> None:
    assert {len(bounds) for bounds in BOUNDS.values()} == {BUCKETS - 1}
    assert all(list(bounds) == sorted(set(bounds)) for bounds in BOUNDS.values())


def test_what_was_taken_is_the_takers_and_can_be_given_back() -> None:
    meter = Meter()
    meter.count(KEY, seconds=0.1)
    taken = meter.take()
    assert not meter
    meter.count(KEY, seconds=0.1)
    meter.add(taken)
    assert meter.take()[KEY].count == 2


def test_however_many_types_there_are_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "MOST_KEYS", 3)
    meter = Meter()
    for n in range(10):
        meter.count(KEY._replace(job_type=f"job_{n}"))
    sums = meter.take()
    assert len(sums) == 4
    assert sums[KEY._replace(job_type=OTHER)].count == 7


def test_however_many_queues_there_are_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "MOST_KEYS", 3)
    meter = Meter()
    for n in range(50):
        meter.count(KEY._replace(queue_name=f"tenant-{n}", job_type=f"job_{n}"))
        meter.count(Key(Kind.REFUSED, f"tenant-{n}", detail="refused"))
    meter.add({Key(Kind.UNPROTECTED, f"tenant-{n}"): meters.Sums(1) for n in range(50)})
    sums = meter.take()
    # Those of before, as many without their types, and one of each kind.
    assert len(sums) == 3 + 3 + 3
    assert sum(each.count for each in sums.values()) == 150
    rest = {key: each.count for key, each in sums.items() if key.queue_name == OTHER}
    assert rest == {
        KEY._replace(queue_name=OTHER, job_type=OTHER): 47,
        Key(Kind.REFUSED, OTHER, detail="refused"): 47,
        Key(Kind.UNPROTECTED, OTHER): 50,
    }


def test_a_fork_begins_with_nothing_and_does_not_wait_for_a_lock_of_its_parents() -> None:
    meter = Meter()
    meter.count(KEY)
    with meter._lock:
        pid = os.fork()
        if pid == 0:
            signal.alarm(5)  # it would wait for ever
            meter.count(KEY, 2)
            os._exit(meter.take()[KEY].count)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert meter.take()[KEY].count == 1


def fork_in_c() -> int:
    """Fork as servers in C do, without Python's hooks; the child goes on in this thread alone."""
    return int(ctypes.PyDLL(None).fork())


def test_a_fork_that_runs_no_hooks_begins_with_nothing_as_well() -> None:
    meter = Meter()
    meter.count(KEY)
    with meter._lock:
        pid = fork_in_c()
        if pid == 0:
            signal.alarm(5)  # it would wait for ever
            before = bool(meter)
            meter.count(KEY, 2)
            os._exit(99 if before else meter.take()[KEY].count)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert meter.take()[KEY].count == 1


def test_threads_lose_no_counts() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(2000):
            meter.count(KEY, seconds=0.01)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.take()[KEY].count == 8000


def test_sums_pass_through_a_pipe() -> None:
    meter = Meter()
    meter.count(KEY, seconds=0.1, retried=1)
    sums = meter.take()
    assert from_plain(marshal.loads(marshal.dumps(plain(sums)))) == sums


@pytest.mark.parametrize(
    ("job_type", "label"),
    [
        ("shop.jobs.send", "shop.jobs.send"),
        ("email:send", "email:send"),
        ("Mail to bob@example.org", OTHER),
        ("bob@example.org", OTHER),
        ("shop.jobs.<lambda>", OTHER),
        ("", OTHER),
        ("x" * 300, OTHER),
        ("naïve.path", OTHER),
    ],
)
def test_only_what_looks_like_a_name_becomes_a_label(job_type: str, label: str) -> None:
    assert label_of(job_type) == label
