"""The jobs themselves, the same for every queue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def nothing() -> None:
    """The least that a job can do."""


def mark() -> None:
    """Write down when this job ran: one goes before the others, one behind each process's last."""
    descriptor = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{time.time()!r}\n".encode())
    os.close(descriptor)


def query() -> None:
    """One query of the ORM."""
    from django.contrib.auth.models import Group

    Group.objects.filter(name="operators").first()


def enqueue_between_marks(
    mark: Callable[[], object], nothing: Callable[[], object], count: int
) -> None:
    """Enqueue *count* jobs, a mark before them and one for each of two processes behind them."""
    mark()
    for _ in range(count):
        nothing()
    for _ in range(2):
        mark()
