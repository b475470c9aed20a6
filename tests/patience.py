"""How long tests wait for what is sure to come, on a machine that may pause a process for seconds.

Bounds of the package are for stores that are away. Where a test asserts something else, each is so
long that only a hang exceeds it; once the test makes a server hang, they are the package's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest

from django_resilient_queue.conf import Settings, settings
from example_project.servers import FaultyProxy
from example_project.servers.processes import ServerProcess

# Of a condition: for a test that fails, not for one that works.
LIMIT = 120.0

# What workers have unless a test gives them others.
OF_WORKERS: dict[str, float] = {
    "DATABASE_TIMEOUT": 30,
    "ENQUEUE_TIMEOUT": 5,
    "LEASE": 60,
    "WORKER_TIMEOUT": 6,
}
# The same for this process, in which rows of workers that nobody renews are those of live ones.
_OWN: dict[str, float] = {**OF_WORKERS, "API_TIMEOUT": 30, "LEASE": 300}
_CONSTANTS = (
    "admin.overview.snapshot.BOUND",
    "admin.overview.snapshot.PATIENCE",
    "api.stored._DRAIN_SECONDS",
    "health.collecting.BOUND",
    "metrics.answers.BOUND",
    "views._BOUND",
    "views._PATIENCE",
)
# Functions whose only default is such a constant.
_WITH_DEFAULTS = (
    "health.collecting.collect.__kwdefaults__",
    "metrics.answers.answers.__defaults__",
    "metrics.collector.QueueCollector.ask.__defaults__",
)
_HANGS = (
    (ServerProcess, "freeze"),
    (FaultyProxy, "blackhole"),
    (FaultyProxy, "hold"),
    (FaultyProxy, "unreachable"),
)
_ENDS = ((ServerProcess, "thaw"), (FaultyProxy, "pass_through"))


@contextmanager
def patience() -> Iterator[None]:
    """Wait long in this process, but for servers that the block makes hang."""
    with pytest.MonkeyPatch.context() as bounds, pytest.MonkeyPatch.context() as faults:
        for kind, name in _HANGS:
            _precede(faults, kind, name, lambda: _lose(bounds))
        for kind, name in _ENDS:
            _precede(faults, kind, name, lambda: _have(bounds))
        _have(bounds)
        yield
        _lose(bounds)


def _have(bounds: pytest.MonkeyPatch) -> None:
    for name, seconds in _OWN.items():
        bounds.setattr(Settings.table()[name], "default", seconds)
    for path in _CONSTANTS:
        bounds.setattr(f"django_resilient_queue.{path}", LIMIT)
    for path in _WITH_DEFAULTS:
        value = {"patience": LIMIT} if path.endswith("__kwdefaults__") else (LIMIT,)
        bounds.setattr(f"django_resilient_queue.{path}", value)
    _tell_links()


def _lose(bounds: pytest.MonkeyPatch) -> None:
    bounds.undo()
    bounds.setattr(Settings.table()["API_TIMEOUT"], "default", _OWN["API_TIMEOUT"])
    _tell_links()


def _precede(faults: pytest.MonkeyPatch, kind: type, name: str, do: Callable[[], None]) -> None:
    method = getattr(kind, name)

    @wraps(method)
    def both(*args: Any) -> Any:
        do()
        return method(*args)

    faults.setattr(kind, name, both)


def _tell_links() -> None:
    """Links keep the bounds that they were made with, and so do their connections."""
    from django_resilient_queue.stores import brokers

    for broker in brokers._brokers.values():
        timeout = settings.ENQUEUE_TIMEOUT
        bound(broker.link.pool, timeout, connect_timeout=timeout / 2)


def bound(pool: Any, timeout: float, *, connect_timeout: float | None = None) -> None:
    """Have a pool and its connections, also those that are open, wait for so long."""
    bounds = {"socket_timeout": timeout, "socket_connect_timeout": connect_timeout or timeout}
    pool.connection_kwargs.update(bounds)
    for connection in pool._available_connections:
        for name, seconds in bounds.items():
            setattr(connection, name, seconds)
        if connection._sock is not None:
            connection._sock.settimeout(timeout)
        # What it goes back to after each look whether there is something to read.
        if (buffer := getattr(connection._parser, "_buffer", None)) is not None:
            buffer.socket_timeout = timeout
