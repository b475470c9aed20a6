"""Waiting for jobs without taking them: a connection a queue blocks until its list has an entry."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from redis import exceptions as errors

from ..exceptions import StoreAmbiguous, StoreRefused
from ..stores.base import boottime
from ..stores.links import RedisLink

WAIT = 25.0  # seconds that one wait lasts: a connection that was cut without a word is noticed then


class Waker:
    """One wait a queue. ``BLMOVE q q LEFT LEFT`` puts the head of a list where it was: it blocks
    like a pop and loses nothing when its answer does not arrive."""

    def __init__(self, link: RedisLink, queue_keys: list[str], *, patience: float) -> None:
        self._link = link
        self._waits = {key: _Wait(link, key, patience) for key in queue_keys}
        self._quiet_until = 0.0

    def arm(self, *, but: Collection[str] = ()) -> None:
        """Begin a wait on every queue that has none, *but* on those keys. Raises StoreRefused or
        StoreAmbiguous."""
        if boottime() >= self._quiet_until:
            for key, wait in self._waits.items():
                if key not in but:
                    wait.arm()

    def sockets(self) -> dict[socket.socket, str]:
        """The sockets that become readable when a wait ends, with their queues' keys."""
        return {w.socket: key for key, w in self._waits.items() if w.is_armed}

    def hear(self, key: str) -> bool:
        """Read the answer of a wait: True when the queue has an entry."""
        return self._waits[key].hear()

    def check(self) -> None:
        """Raise StoreAmbiguous when a wait is overdue: Redis is frozen, or out of reach."""
        for wait in self._waits.values():
            wait.check()

    @property
    def quiet_left(self) -> float:
        """Seconds until waits begin again, 0 when they may."""
        return max(self._quiet_until - boottime(), 0.0)

    def be_quiet(self, seconds: float) -> None:
        """Do not wait for a while: there are entries that may not be taken."""
        self._quiet_until = boottime() + seconds

    def close(self) -> None:
        """End every wait."""
        for wait in self._waits.values():
            wait.close()


class _Wait:
    def __init__(self, link: RedisLink, key: str, patience: float) -> None:
        self._link, self._key, self._patience = link, key, patience
        self._connection: Any = None
        self._overdue_at: float | None = None

    @property
    def is_armed(self) -> bool:
        return self._overdue_at is not None

    @property
    def socket(self) -> socket.socket:
        found: socket.socket = self._connection._sock
        return found

    def arm(self) -> None:
        if self.is_armed:
            return
        try:
            if self._connection is None:
                self._connection = self._link.pool.make_connection()
                self._connection.connect()
            self._connection.send_command("BLMOVE", self._key, self._key, "LEFT", "LEFT", WAIT)
        except (errors.RedisError, OSError) as error:
            self.close()
            raise StoreRefused(error) from error
        self._overdue_at = boottime() + WAIT + self._patience

    def hear(self) -> bool:
        self._overdue_at = None
        try:
            return self._connection.read_response() is not None
        except errors.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                self.close()
                raise StoreAmbiguous(error) from error
            return True  # no list at all: the claim will say so
        except (errors.RedisError, OSError) as error:
            self.close()
            raise StoreAmbiguous(error) from error

    def check(self) -> None:
        overdue = self._overdue_at is not None and boottime() > self._overdue_at
        # The answer may lie there unread, because the worker was busy with a job.
        if overdue and not self._connection.can_read(0):
            self.close()
            raise StoreAmbiguous(errors.TimeoutError("no answer to a blocking wait"))

    def close(self) -> None:
        self._overdue_at = None
        if self._connection is not None:
            with suppress(Exception):
                self._connection.disconnect()
        self._connection = None
