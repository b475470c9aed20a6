"""Job functions for the tests. What they did is told by a file, which no store can lose or double."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TypeVar

from rq import Retry

T = TypeVar("T")


def succeed(value: T) -> T:
    return value


def fail(message: str = "on purpose") -> None:
    raise ValueError(message)


def record(path: str, value: object) -> None:
    """One write of one line with O_APPEND: whole, also when many processes write at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{value}\n".encode())
    finally:
        os.close(descriptor)


def record_slowly(path: str, value: object, seconds: float) -> None:
    """Says that it began, as `begin VALUE`, so that a test can act in the middle of it."""
    record(path, f"begin {value}")
    time.sleep(seconds)
    record(path, value)


def record_when_released(path: str, value: object, gate: str, timeout: float = 60) -> None:
    """Says `begin VALUE`, then waits for the file `gate`: the test decides when it ends."""
    record(path, f"begin {value}")
    deadline = time.monotonic() + timeout
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody made {gate}")
        time.sleep(0.01)
    record(path, value)


def record_and_fail(path: str, value: object) -> None:
    record(path, value)
    raise ValueError(f"on purpose: {value}")


def kill_own_process() -> None:
    """What the kernel does to a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def return_retry(maximum: int = 1, interval: int = 0) -> Retry:
    return Retry(max=maximum, interval=interval)


def record_and_return_retry(path: str, value: object, maximum: int = 1, interval: int = 0) -> Retry:
    record(path, value)
    return return_retry(maximum, interval)
