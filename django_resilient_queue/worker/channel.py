"""The pipes between a worker and one of its horses, and who may perform an order that is in them.

Orders lie ready in a pipe of their own, several at a time, so that a horse need not wait for its
worker between two jobs of a millisecond. A second pipe holds a *permit* for each of them: four
bytes, which the kernel gives to one reader only. The horse takes the permit before it begins; the
worker takes back the permits of orders that are not to wait any longer. So an order is performed by
this horse or is the worker's again, and there is no moment at which nobody can tell.

Reports go the other way. For one that the job relies on, as it does on what it saves, the horse
waits until the worker gives a *receipt*.

What goes over the pipes is ``marshal``: both ends are the same interpreter, forked.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NUMBER = 4  # bytes of a permit, of a receipt, and of a frame's length
_MOST_AT_ONCE = 1 << 18  # bytes read at a time


class Closed(Exception):
    """The other end is gone."""


class Channel:
    """Made before the fork; afterwards each side keeps its own ends."""

    def __init__(self) -> None:
        self._permits_out, self._permits_in = os.pipe()
        self._orders_out, self._orders_in = os.pipe()
        self._reports_out, self._reports_in = os.pipe()
        self._receipts_out, self._receipts_in = os.pipe()
        for end in (self._permits_out, self._orders_in, self._reports_out, self._receipts_in):
            os.set_blocking(end, False)

    def worker_end(self) -> WorkerEnd:
        """Keep the worker's ends, in the worker."""
        for end in (self._orders_out, self._reports_in, self._receipts_out):
            os.close(end)
        permits = self._permits_out, self._permits_in
        return WorkerEnd(*permits, self._orders_in, self._reports_out, self._receipts_in)

    def horse_end(self) -> HorseEnd:
        """Keep the horse's ends, in the horse."""
        for end in (self._permits_in, self._orders_in, self._reports_out, self._receipts_in):
            os.close(end)
        orders = self._permits_out, self._orders_out
        return HorseEnd(*orders, self._reports_in, self._receipts_out)


class WorkerEnd:
    """Never blocks: a horse that is stopped must not stop its worker."""

    def __init__(
        self, permits_out: int, permits_in: int, orders: int, reports: int, receipts: int
    ) -> None:
        self._permits_out, self._permits_in = permits_out, permits_in
        self._orders, self._reports, self._receipts = orders, reports, receipts
        self._unsent = bytearray()
        self._heard = bytearray()
        self._poll = select.poll()
        self._poll.register(reports, select.POLLIN)

    def fileno(self) -> int:
        """Readable when the horse has reported, or is gone."""
        return self._reports

    @property
    def orders(self) -> int:
        """Writable when the pipe takes more."""
        return self._orders

    @property
    def has_report(self) -> bool:
        """Tell whether there is something to hear at once."""
        return bool(self._poll.poll(0))

    @property
    def has_unsent(self) -> bool:
        """Tell whether the pipe was full: ``flush`` goes on."""
        return bool(self._unsent)

    def give(self, orders: Iterable[tuple[int, Any]]) -> None:
        """Lay numbered orders ready, with their permits. Raises Closed."""
        batch = list(orders)
        self._unsent += _frame(batch)
        self.flush()
        try:
            os.write(self._permits_in, b"".join(n.to_bytes(_NUMBER, "big") for n, _ in batch))
        except OSError as error:
            raise Closed from error

    def flush(self) -> None:
        """Send what the pipe takes. Raises Closed."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._orders, self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            raise Closed from error

    def take_back(self) -> list[int]:
        """Return the numbers of orders that the horse has not begun, and now never will."""
        taken = []
        with suppress(BlockingIOError):
            while permit := os.read(self._permits_out, _NUMBER):
                taken.append(int.from_bytes(permit, "big"))
        return taken

    def hear(self) -> list[Any]:
        """Return the reports that have arrived. Raises Closed when there will be no more."""
        try:
            chunk = os.read(self._reports, _MOST_AT_ONCE)
        except BlockingIOError:
            return []
        if not chunk:
            raise Closed
        self._heard += chunk
        return _frames(self._heard)

    def give_receipt(self, number: int) -> None:
        """Let the horse go on that waits for this; one that is dead waits for nothing."""
        with suppress(OSError):
            os.write(self._receipts, number.to_bytes(_NUMBER, "big"))

    def close(self) -> None:
        """Let the horse end: it sees the end of its pipes."""
        permits = self._permits_out, self._permits_in
        for end in (*permits, self._orders, self._reports, self._receipts):
            os.close(end)


class HorseEnd:
    """Waits for what comes."""

    def __init__(self, permits: int, orders: int, reports: int, receipts: int) -> None:
        self._permits, self._orders = permits, orders
        self._reports, self._receipts = reports, receipts
        self._process = os.getpid()
        self._waiting = threading.Lock()  # a job may have threads
        self._asked = self._received = 0  # numbers of receipts
        self._poll = select.poll()
        self._poll.register(permits, select.POLLIN)
        self._heard = bytearray()
        self._batch: dict[int, Any] = {}

    def next_order(self) -> tuple[int, Any]:
        """Wait for a permit; returns the order that it is for. Raises Closed."""
        number = self._take_permit()
        while number not in self._batch:
            # What is left of earlier batches was taken back by the worker.
            self._batch = dict(self._next_batch())
        return number, self._batch.pop(number)

    def is_wanted(self, *, within: float) -> bool:
        """Wait for a permit for so many seconds at most; True when there is one, or the end."""
        return bool(self._poll.poll(within * 1000))

    def report(self, report: Any) -> None:
        """Tell the worker something. Raises Closed."""
        rest = memoryview(_frame(report))
        with _whole():
            try:
                while rest:
                    rest = rest[os.write(self._reports, rest) :]
            except OSError as error:
                raise Closed from error

    def report_and_wait(self, report: Callable[[int], Any]) -> None:
        """Tell the worker something and wait for its receipt, of the number that *report* is
        called with; 0 asks for none, in a process that the job has forked. Raises Closed."""
        if os.getpid() != self._process:
            self.report(report(0))
            return
        with self._waiting:
            self._asked += 1
            asked = self._asked
            self.report(report(asked))
            while self._received < asked:  # those that a timeout kept it from may come first
                receipt = os.read(self._receipts, _NUMBER)
                if not receipt:
                    raise Closed
                self._received = int.from_bytes(receipt, "big")

    def wait_for_end(self) -> None:
        """Begin nothing more; returns when the worker has closed its ends."""
        while os.read(self._orders, _MOST_AT_ONCE):
            pass

    def _take_permit(self) -> int:
        while True:
            self._poll.poll()
            with suppress(BlockingIOError):  # the worker was faster, and took it back
                permit = os.read(self._permits, _NUMBER)
                if not permit:
                    raise Closed
                return int.from_bytes(permit, "big")

    def _next_batch(self) -> list[tuple[int, Any]]:
        while not (batches := _frames(self._heard, most=1)):
            chunk = os.read(self._orders, _MOST_AT_ONCE)
            if not chunk:
                raise Closed
            self._heard += chunk
        return batches[0]  # type: ignore[no-any-return]


@contextmanager
def _whole() -> Iterator[None]:
    """Let no job's timeout cut a frame in two: the worker could read none of those after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _frame(value: Any) -> bytes:
    body = marshal.dumps(value)
    return len(body).to_bytes(_NUMBER, "big") + body


def _frames(heard: bytearray, most: int | None = None) -> list[Any]:
    """Take whole frames out of what was heard."""
    found: list[Any] = []
    start = 0
    while len(heard) - start >= _NUMBER and len(found) != most:
        end = start + _NUMBER + int.from_bytes(heard[start : start + _NUMBER], "big")
        if len(heard) < end:
            break
        body = heard[start + _NUMBER : end]
        found.append(marshal.loads(body))  # noqa: S302 - from our own fork, over our own pipe
        start = end
    del heard[:start]
    return found
