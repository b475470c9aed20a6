"""Asking a store in bounded time, whatever it does: in a thread, for which nobody has to wait.

A driver's timeouts don't bound a server that is frozen, a name that nobody resolves, or a statement
that waits for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .. import forks

T = TypeVar("T")

_PATIENCE = 5.0  # seconds until a thread without an answer gets a successor; doubles with each
_MOST = 8  # threads that hang on one store


@dataclass
class Asking(Generic[T]):
    """A question under way. ``found`` holds what has been answered so far; ``error`` is what ended
    it before its time."""

    found: T
    began: float = field(default_factory=time.monotonic)
    error: Exception | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    @property
    def is_done(self) -> bool:
        """Tell whether nothing more is to come."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the whole answer, until *seconds* after the question was put."""
        return self._done.wait(max(self.began + seconds - time.monotonic(), 0))

    def run(self, fill: Callable[[T], None]) -> None:
        """Get the answer."""
        try:
            fill(self.found)
        except Exception as error:  # noqa: BLE001 - who waits judges it
            self.error = error
        finally:
            self._done.set()


_hanging: dict[str, list[Asking[Any]]] = {}
_lock = threading.Lock()


def ask(name: str, blank: Callable[[], T], fill: Callable[[T], None]) -> Asking[T]:
    """Put a question to the store of that *name*; *fill* writes the answers into what *blank* made.

    Whoever asks while the same question is under way shares its answer.
    """
    forks.notice()
    with _lock:
        waiting = [each for each in _hanging.get(name, ()) if not each.is_done]
        _hanging[name] = waiting
        if waiting and not _deserves_successor(waiting):
            return cast("Asking[T]", waiting[-1])
        asking = Asking(blank())
        waiting.append(asking)
    threading.Thread(target=_work, args=(asking, fill), name=f"drq-{name}", daemon=True).start()
    return asking


def _work(asking: Asking[T], fill: Callable[[T], None]) -> None:
    asking.run(fill)
    connections.close_all()  # also those of another alias, where settings change meanwhile


class Spare:
    """A connection between two questions, for as long as ``CONN_MAX_AGE`` allows: a new one takes
    the database longer than most answers."""

    def __init__(self) -> None:
        self._idle: list[BaseDatabaseWrapper] = []
        # A child has a copy of the socket, which is the parent's to close.
        forks.renew_by(self._idle.clear)

    def take(self, alias: str) -> None:
        """Have the calling thread use it, if there is one that works."""
        with suppress(IndexError):
            connections[alias] = connection = self._idle.pop()
            connection.close_if_unusable_or_obsolete()
            if connection.connection is not None and not connection.is_usable():
                connection.close()

    def leave(self, alias: str) -> None:
        """Keep the calling thread's, or close it."""
        connection = connections[alias]
        connection.close_if_unusable_or_obsolete()
        if connection.connection is None or self._idle:
            connection.close()
            return
        connection.inc_thread_sharing()
        del connections[alias]
        self._idle.append(connection)

    def close(self) -> None:
        """Keep none; for tests."""
        while self._idle:
            self._idle.pop().close()


def ask_tables(
    alias: str,
    name: str,
    blank: Callable[[], T],
    fill: Callable[[T], None],
    spare: Spare | None = None,
) -> Asking[T]:
    """Put a question to a database, over a connection of its own, which ends with it or is kept."""

    def fill_and_leave(found: T) -> None:
        try:
            if spare is not None:
                spare.take(alias)
            fill(found)
        finally:
            connections[alias].close() if spare is None else spare.leave(alias)

    if _is_in_memory(alias):  # another thread would see another, empty, database
        asking = Asking(blank())
        asking.run(fill)
        return asking
    return ask(name, blank, fill_and_leave)


def _is_in_memory(alias: str) -> bool:
    is_in_memory = getattr(connections[alias], "is_in_memory_db", None)  # SQLite's has it
    return is_in_memory is not None and bool(is_in_memory())


def _deserves_successor(waiting: list[Asking[Any]]) -> bool:
    """Tell whether to try again: a connection may be dead without a word, its server long back."""
    age = time.monotonic() - waiting[-1].began
    return len(waiting) < _MOST and age >= _PATIENCE * 2 ** (len(waiting) - 1)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _hanging.clear()


forks.renew_by(_forget)  # the threads stay with the parent
