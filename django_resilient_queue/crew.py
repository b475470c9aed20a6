"""Calls in bounded time, whatever a store does: each in a thread for which nobody has to wait.

A driver's timeouts don't bound a server that is frozen, or a statement that waits for a lock.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from django.db import close_old_connections, connections

from . import forks
from .conf import settings

PAGE_THREADS = 8
REDIS_THREADS = 64  # none of which a Redis that hangs keeps for longer than its own time
_IDLE = 10.0  # seconds until a thread without work ends


class TookTooLong(Exception):
    """No answer within the bound; the call may still be carried out."""


class Call:
    """One call under way."""

    def __init__(self, do: Callable[[], Any]) -> None:
        # Language and time zone of the request go along.
        self.do, self.context = do, contextvars.copy_context()
        self.done = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None

    def wait(self, seconds: float) -> Any:
        """Return what it returns, or raise what it raises. Raises TookTooLong."""
        if not self.done.wait(seconds):
            self.do = _nothing  # what has not begun is not carried out any more
            raise TookTooLong
        if self.error is not None:
            raise self.error
        return self.answer

    def run(self) -> None:
        """Carry it out."""
        close_old_connections()
        try:
            self.answer = self.context.run(self.do)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        finally:
            close_old_connections()
            self.done.set()


class Crew:
    """Threads that are made when needed, never more than *most* says (by default, API_THREADS),
    those that hang included."""

    def __init__(self, most: Callable[[], int] = lambda: settings.API_THREADS) -> None:
        self._most = most
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting = 0  # threads that wait for a call, less calls that wait for a thread

    @property
    def threads(self) -> int:
        """How many there are."""
        return self._threads

    @property
    def is_idle(self) -> bool:
        """Tell whether no call waits or is under way."""
        return self._waiting == self._threads

    def run(self, do: Callable[[], Any], seconds: float) -> Any:
        """Return what *do* returns, or raise what it raises. Raises TookTooLong.

        Inside a transaction of the caller's (a test) it takes as long as it takes, for another
        thread would not see what that has written.
        """
        if any(each.in_atomic_block for each in connections.all(initialized_only=True)):
            return do()
        return self.begin(do).wait(seconds)

    def begin(self, do: Callable[[], Any]) -> Call:
        """Have a thread do it as soon as one is free. Raises TookTooLong where too many wait, or no
        thread can be had."""
        call, most = Call(do), self._most()
        with self._lock:
            if self._calls.qsize() >= 10 * most:
                raise TookTooLong
            self._waiting -= 1
            if self._waiting < 0 and self._threads < most:
                self._add_thread()
            if not self._threads:
                self._waiting += 1
                raise TookTooLong
        self._calls.put(call)
        return call

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name="drq-call", daemon=True).start()
        except RuntimeError:  # the system has none: one that is there does it, if it can
            return
        self._threads += 1
        self._waiting += 1

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    if self._waiting > 0:  # else a call is on its way to this thread
                        self._waiting -= 1
                        self._threads -= 1
                        break
                continue
            call.run()
            with self._lock:
                self._waiting += 1
        connections.close_all()  # which CONN_MAX_AGE has kept between calls


def _nothing() -> None: ...


# Whoever hangs on the one keeps nobody from the other.
crew = Crew()
page_crew = Crew(lambda: PAGE_THREADS)
redis_crew = Crew(lambda: REDIS_THREADS)


def _forget() -> None:
    global crew, page_crew, redis_crew
    crew, page_crew, redis_crew = Crew(), Crew(lambda: PAGE_THREADS), Crew(lambda: REDIS_THREADS)


forks.renew_by(_forget)  # the threads stay with the parent
