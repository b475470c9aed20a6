"""A question to a store, in a thread of its own."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_resilient_queue.health.asking import ask
from tests.conftest import WaitUntil

Closed = list[BaseDatabaseWrapper]


def test_its_thread_leaves_no_connection_open(wait_until: WaitUntil) -> None:
    """Whichever the answer came from."""

    def open_one(closed: Closed) -> None:
        own = connections["default"]
        own.close = lambda: closed.append(own)  # type: ignore[method-assign]

    asking = ask("a test's", Closed, open_one)
    wait_until(lambda: len(asking.found) == 1)
