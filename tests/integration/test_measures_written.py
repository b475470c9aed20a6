"""What was counted gets into the database: once, in nobody's way, and before a process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from pytest_django import Settings

from django_resilient_queue.exceptions import StoreError
from django_resilient_queue.facts import enqueue_durations, measures
from django_resilient_queue.meter import OTHER, Key, Kind, Meter
from django_resilient_queue.models import Measure
from django_resilient_queue.models.measure import SHARDS
from django_resilient_queue.stores import measures as writing
from example_project.servers import ServerProcess
from tests.conftest import WaitUntil
from tests.enqueueing import queue, seconds
from tests.jobs import succeed
from tests.measures import counted, key, write
from tests.workers import worker_environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


# ---- writing -----------------------------------------------------------------------------------


def test_a_thread_writes_what_a_process_has_counted_and_ends(
    settings: Settings, wait_until: WaitUntil
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 0.05}
    queue().enqueue(succeed, 1)
    wait_until(lambda: measures())
    wait_until(lambda: writing._writing._thread is None)
    queue().enqueue(succeed, 1)
    wait_until(lambda: enqueue_durations().total == 2)


def test_a_job_is_accepted_though_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        queue().enqueue(succeed, 1)
    assert queue().count == 1
    queue().enqueue(succeed, 1)  # later there is one
    assert "drq-measures" in [thread.name for thread in threading.enumerate()]


def test_what_is_counted_as_the_thread_ends_has_a_thread(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, wait_until: WaitUntil
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 0.05}
    meter = writing.meter
    late: list[threading.Thread] = []

    class Late(Meter):
        """Found empty, and counted into by another thread before that is acted on."""

        def __bool__(self) -> bool:
            if not late:
                meter.count(key(Kind.ENQUEUED))
                late.append(threading.Thread(target=writing._writing.begin))
                late[0].start()
                late[0].join(0.2)  # it may wait for the lock
                return False
            return bool(meter)

    monkeypatch.setattr(writing, "meter", Late())
    writing._writing.begin()
    wait_until(lambda: bool(late) and not late[0].is_alive())
    monkeypatch.setattr(writing, "meter", meter)
    wait_until(lambda: not meter)


def test_no_thread_is_begun_where_it_would_stand_still_between_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uWSGI by default; there the process writes as it ends."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={"master": True}))
    queue().enqueue(succeed, 1)
    assert "drq-measures" not in [thread.name for thread in threading.enumerate()]
    assert writing.meter
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={"enable-threads": True}))
    queue().enqueue(succeed, 1)
    assert "drq-measures" in [thread.name for thread in threading.enumerate()]


def test_without_an_interval_nothing_is_counted(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 0}
    queue().enqueue(succeed, 1)
    assert not writing.meter
    assert writing._writing._thread is None


def test_two_processes_add_up_in_one_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in (1, 1 + SHARDS, 2):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        writing.count(key(Kind.ENQUEUED), seconds=0.01)
        write()
    assert sorted(Measure.objects.values_list("shard", "count")) == [(1, 2), (2, 1)]
    assert enqueue_durations().total == 3


def test_many_keys_are_written_in_parts_that_every_database_takes() -> None:
    for n in range(99):
        writing.count(key(Kind.ENQUEUED, f"job_{n}"))
    write()
    assert Measure.objects.count() == 99


def test_types_beyond_the_limit_count_as_other(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TYPES": 2}
    for names in ("ab", "bcd", "acde"):
        for name in names:
            writing.count(key(Kind.ENQUEUED, name))
        write()
        writing._types.known.clear()  # as in another process
    sums = {key.job_type: each.count for key, each in measures().items()}
    assert sums == {"a": 2, "b": 2, OTHER: 5}


def test_types_that_got_in_at_the_same_moment_are_folded_when_they_are_read(
    settings: Settings,
) -> None:
    for name in "abc":
        writing.count(key(Kind.ENQUEUED, name))
        write()
    settings.RESILIENT_QUEUE = {"METRICS_TYPES": 2}
    assert {key.job_type: s.count for key, s in measures().items()} == {"a": 1, "b": 1, OTHER: 1}


def test_queues_that_are_not_configured_are_one() -> None:
    for n in range(3):
        writing.count(Key(Kind.REFUSED, f"tenant-{n}", detail="refused"))
    assert counted() == {Key(Kind.REFUSED, OTHER, detail="refused"): 3}


def test_what_the_database_refused_is_kept_for_the_next_time() -> None:
    writing.count(key(Kind.ENQUEUED), 5)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_resilient_queue_measure RENAME TO away")
    try:
        with pytest.raises(StoreError):
            write()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO django_resilient_queue_measure")
    assert counted() == {key(Kind.ENQUEUED): 5}


def test_a_commit_without_an_answer_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def commit() -> None:
        original()
        raise OperationalError("server closed the connection")

    writing.count(key(Kind.ENQUEUED), 5)
    connection.ensure_connection()
    original: Callable[[], None] = getattr(connection, "_commit")  # noqa: B009 - not in the stubs
    monkeypatch.setattr(connection, "_commit", commit)
    with pytest.raises(StoreError):
        write()
    monkeypatch.undo()
    assert counted() == {key(Kind.ENQUEUED): 5}


def test_counts_are_held_while_the_database_is_away_and_no_enqueue_waits_for_them(
    database_server: ServerProcess, settings: Settings, wait_until: WaitUntil
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 0.05, "OUTBOX": False}
    queue().enqueue(succeed, 1)
    wait_until(lambda: enqueue_durations().total == 1)
    database_server.freeze()
    took: list[float] = []
    while sum(took) < 0.5:  # ten times as long as it takes until the thread writes, and hangs
        took.append(seconds(lambda: queue().enqueue(succeed, 1)))
    last = [seconds(lambda: queue().enqueue(succeed, 1)) for _ in range(3)]
    assert min(last) < 0.3  # a busy machine delays one or the other, and not each
    database_server.thaw()
    connection.close()
    wait_until(lambda: enqueue_durations().total == 1 + len(took) + len(last))


# ---- processes that end ------------------------------------------------------------------------

PRODUCER = """
import sys, django
django.setup()
import django_rq
from django_resilient_queue.stores import measures
measures._LAST_PATIENCE = 60.0  # a busy machine may need it
from tests.jobs import succeed
for _ in range(3):
    django_rq.get_queue("default").enqueue(succeed, 1)
print("done", flush=True)
sys.stdin.readline()
"""


def producer(**settings: Any) -> subprocess.Popen[str]:
    environment = worker_environment(
        database_name=str(connection.settings_dict["NAME"]),
        redis_port=None,
        settings=settings,
        rq=None,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PRODUCER],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


def test_a_process_that_ends_writes_what_it_has_counted() -> None:
    with producer(METRICS_INTERVAL=3600) as process:
        process.communicate("\n")
    assert process.returncode == 0
    assert enqueue_durations().total == 3


def test_a_process_that_is_killed_loses_what_it_has_not_written_and_no_more(
    wait_until: WaitUntil,
) -> None:
    with producer(METRICS_INTERVAL=0.05) as written, producer(METRICS_INTERVAL=3600) as unwritten:
        wait_until(lambda: enqueue_durations().total == 3)
        for process in (written, unwritten):
            process.send_signal(signal.SIGKILL)
    assert enqueue_durations().total == 3
    assert len(queue().job_ids) == 6  # of figures alone


def test_what_tests_have_counted_does_not_get_into_another_database() -> None:
    queue().enqueue(succeed, 1)
    writing._writing._database = "another"
    writing._writing.write_last()
    assert measures() == {}
