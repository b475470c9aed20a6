"""Calls in bounded time, by a bounded number of threads, whatever hangs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from threading import Event, Thread

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from django_resilient_queue import crew
from tests.conftest import WaitUntil

THREADS = 3
FOREVER = 60
WORD: ContextVar[str] = ContextVar("WORD", default="")


class Hanging:
    """Calls that hang until they are let go, each with somebody who waits for it."""

    def __init__(self, made: crew.Crew) -> None:
        self.crew, self.go, self.began = made, Event(), 0
        self._pool = ThreadPoolExecutor(100)

    def add(self, count: int) -> None:
        for _ in range(count):
            self._pool.submit(self.crew.run, self._hang, FOREVER)

    def _hang(self) -> None:
        self.began += 1
        self.go.wait(FOREVER)

    def end(self) -> None:
        self.go.set()
        self._pool.shutdown()


@pytest.fixture
def hanging(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_THREADS": THREADS}
    monkeypatch.setattr(crew, "_IDLE", 0.2)
    found = Hanging(crew.Crew())
    yield found
    found.end()


def test_what_a_call_returns_or_raises_is_its_callers(hanging: Hanging) -> None:
    def fail() -> None:
        raise LookupError("mine")

    assert hanging.crew.run(lambda: 7, FOREVER) == 7
    with pytest.raises(LookupError, match="mine"):
        hanging.crew.run(fail, FOREVER)


def test_the_context_of_the_caller_goes_along(hanging: Hanging) -> None:
    token = WORD.set("de")
    assert hanging.crew.run(WORD.get, FOREVER) == "de"
    WORD.reset(token)
    assert hanging.crew.run(WORD.get, FOREVER) == ""


def test_there_are_no_more_threads_than_allowed(hanging: Hanging, wait_until: WaitUntil) -> None:
    hanging.add(THREADS * 4)
    wait_until(lambda: hanging.crew._calls.qsize() == THREADS * 3)
    assert (hanging.began, hanging.crew.threads) == (THREADS, THREADS)


def test_nobody_waits_longer_than_they_said(hanging: Hanging, wait_until: WaitUntil) -> None:
    hanging.add(THREADS)
    wait_until(lambda: hanging.began == THREADS)
    done: list[str] = []
    with pytest.raises(crew.TookTooLong):
        hanging.crew.run(lambda: done.append("late"), 0.05)
    hanging.go.set()
    assert hanging.crew.run(lambda: "next", FOREVER) == "next"
    assert not done, "what its caller has given up is not begun"


def test_with_too_many_waiting_the_next_is_refused_at_once(
    hanging: Hanging, wait_until: WaitUntil
) -> None:
    hanging.add(THREADS)
    wait_until(lambda: hanging.began == THREADS)
    hanging.add(THREADS * 10)
    wait_until(lambda: hanging.crew._calls.qsize() == THREADS * 10)
    with pytest.raises(crew.TookTooLong):
        hanging.crew.run(lambda: None, FOREVER)


def test_a_thread_that_the_system_refuses_is_not_counted_as_one(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(crew, "_IDLE", FOREVER)
    with monkeypatch.context() as short:
        short.setattr(Thread, "start", refuse)
        for _ in range(THREADS):
            with pytest.raises(crew.TookTooLong):
                hanging.crew.run(lambda: 7, FOREVER)
    assert (hanging.crew.threads, hanging.crew.is_idle) == (0, True)
    assert hanging.crew.run(lambda: 7, FOREVER) == 7
    with monkeypatch.context() as short:
        short.setattr(Thread, "start", refuse)
        assert hanging.crew.run(lambda: 7, FOREVER) == 7


def test_after_the_rush_every_call_has_been_answered_and_the_threads_end(
    hanging: Hanging, wait_until: WaitUntil
) -> None:
    hanging.add(THREADS * 5)
    wait_until(lambda: hanging.crew._calls.qsize() == THREADS * 4)
    hanging.end()
    assert hanging.began == THREADS * 5
    wait_until(lambda: hanging.crew.threads == 0)
    assert hanging.crew.run(lambda: 1, FOREVER) == 1


def test_calls_that_come_and_go_are_never_left_without_a_thread(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_IDLE", 0.0)  # each thread is about to end when the next call comes

    def one(number: int) -> int:
        found: int = hanging.crew.run(lambda: number, FOREVER)
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(500))) == list(range(500))
    assert hanging.crew.threads <= THREADS


FORKED = """
import os, warnings
warnings.simplefilter("ignore")
import django
django.setup()
from django_resilient_queue import crew
assert crew.crew.run(lambda: 1, 30) == 1  # has a thread by now
child = os.fork()
if not child:
    os._exit(0 if crew.crew.run(lambda: 2, 30) == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_thread_that_ends_leaves_no_connection_open(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_IDLE", 0.2)
    closed: list[BaseDatabaseWrapper] = []

    def keep() -> BaseDatabaseWrapper:
        own = connections["default"]
        own.close = lambda: closed.append(own)  # type: ignore[method-assign]
        return own

    kept = crew.Crew(lambda: 1).run(keep, FOREVER)
    wait_until(lambda: closed == [kept])


def test_a_forked_process_has_threads_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)
