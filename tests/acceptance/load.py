"""A producer of numbered jobs, as a web process is one: threads, a pace, plain django-rq."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import django_rq
from django.db import connections

THREADS = 8


class Load:
    """Enqueues `job(path, number)`; keeps what was accepted, and what refused."""

    def __init__(
        self, job: Callable[..., Any], path: str, *, jobs: int = 100, rate: float = 50.0
    ) -> None:
        self.accepted: set[int] = set()
        self.refused: list[tuple[int, str]] = []
        self._job, self._path, self._jobs, self._rate = job, path, jobs, rate
        self._numbers = itertools.count()
        self._began = 0.0
        self._threads = [threading.Thread(target=self._produce) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.join()

    def join(self) -> None:
        """Until every job was submitted."""
        for thread in self._threads:
            thread.join()

    def _produce(self) -> None:
        try:
            while (number := next(self._numbers)) < self._jobs:
                time.sleep(max(self._began + number / self._rate - time.monotonic(), 0))
                self._submit(number)
        finally:
            connections.close_all()

    def _submit(self, number: int) -> None:
        try:
            django_rq.enqueue(self._job, self._path, number)
        except Exception as error:  # noqa: BLE001 - every kind of refusal is counted
            self.refused.append((number, repr(error)))
        else:
            self.accepted.add(number)
