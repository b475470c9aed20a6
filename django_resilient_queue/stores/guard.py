"""What goes wrong with the database, sorted into refused and ambiguous, and bounded in time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from ..exceptions import StoreAmbiguous, StoreRefused

_NAME = "database"
View = TypeVar("View", bound=Callable[..., Any])


class DatabaseTimeout(Exception):
    """The database did not answer within the bound."""


@contextmanager
def database_errors(alias: str, *, timeout: float | None = None) -> Iterator[None]:
    """Raise StoreRefused or StoreAmbiguous for what the database raises inside.

    *timeout* (seconds) interrupts a statement of a server that neither answers nor breaks the
    connection; it works in the main thread only, so it is for workers, not for requests.
    """
    connection = connections[alias]
    try:
        with _alarm(timeout):
            try:
                connection.ensure_connection()
            except (DatabaseError, InterfaceError, DatabaseTimeout, OSError) as error:
                raise StoreRefused(error, _NAME) from error
            yield
    except (OperationalError, InterfaceError, DatabaseTimeout) as error:
        drop_broken(alias)
        raise StoreAmbiguous(error, _NAME) from error
    except DatabaseError as error:  # the statement was refused as such
        raise StoreRefused(error, _NAME) from error


def outside_transactions(view: View) -> View:
    """Have a view begin none, whichever database ``ATOMIC_REQUESTS`` is set for."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def drop_broken(alias: str) -> None:
    """Close a connection that failed, so that the next use opens another one."""
    connection = connections[alias]
    if not connection.in_atomic_block:  # the caller's transaction is the caller's to end
        connection.close()


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise DatabaseTimeout(f"no answer of the database within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
