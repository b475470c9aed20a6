"""Customers: orders over HTTP at a steady rate, from threads that keep their connection."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlencode

THREADS = 8
REQUEST_TIMEOUT = 10.0
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Answer:
    """What the shop said to one customer; without a number the order was refused."""

    number: str | None
    enqueue_ms: float
    cause: str = ""


class Load:
    """So many orders, so many a second."""

    def __init__(self, port: int, *, orders: int, rate: float) -> None:
        self.port = port
        self.orders = orders
        self.rate = rate
        self.started_at = 0.0
        self._next = itertools.count()
        self._answers: list[Answer] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._customer, name=f"customer-{n}", daemon=True)
            for n in range(THREADS)
        ]

    def start(self) -> None:
        self.started_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no further order; what is under way is answered first."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=REQUEST_TIMEOUT)

    def answers(self) -> list[Answer]:
        return self._answers.copy()

    @property
    def done(self) -> bool:
        return len(self._answers) >= self.orders

    def _customer(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT)
        while (n := next(self._next)) < self.orders:  # count() hands each number out once
            due = self.started_at + n / self.rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                break
            self._answers.append(_order(connection, n))
        connection.close()


def _order(connection: http.client.HTTPConnection, n: int) -> Answer:
    body = urlencode({"email": f"customer-{n}@example.com"})
    try:
        connection.request("POST", "/orders/", body, HEADERS)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens a new one
        return Answer(None, 0.0, f"{type(error).__name__}: {error}")
    if response.status != 201:
        return Answer(None, 0.0, f"HTTP {response.status}")
    order = json.loads(content)
    return Answer(order["number"], order["enqueue_ms"])
