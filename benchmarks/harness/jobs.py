"""The job of the harness: it notes its start and its end where no store can lose them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Work:
    """How long a job takes: every nth one is slow, and those below a number (a backlog) may be."""

    seconds: float = 0.002
    slow: float = 0.002
    every: int = 1_000_000
    below: int = 0
    backlog: float = 0.002

    def of(self, number: int) -> float:
        if number < self.below:
            return self.backlog
        return self.slow if number % self.every == 0 else self.seconds

    def dump(self) -> str:
        return json.dumps(asdict(self))


def note(*words: object) -> None:
    """One write of one line with O_APPEND: whole, also when many processes write at once."""
    line = " ".join(str(word) for word in words) + "\n"
    ledger = os.open(os.environ["DRQ_BENCH_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


def perform(number: int) -> None:
    """What is enqueued. The clock is the machine's monotonic one, the same in every process."""
    note("start", number, time.monotonic(), os.getpid(), os.getppid())
    time.sleep(Work(**json.loads(os.environ["DRQ_BENCH_WORK"])).of(number))
    note("end", number, time.monotonic(), os.getpid())
