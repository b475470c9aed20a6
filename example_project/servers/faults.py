"""What a network can do to a request and its reply. `proxy.py` applies one of these at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from example_project.servers.proxy import Connection

Match = bytes | Callable[[bytes], bool]


class Fault:
    """None at all: everything passes. The faults differ from it in a method or two."""

    listens = True
    is_reachable = True
    keeps_connections = True

    async def request(self, connection: Connection, data: bytes) -> None:
        await connection.send_to_server(data)

    async def reply(self, connection: Connection, data: bytes) -> None:
        await connection.send_to_client(data)

    def end(self) -> None:
        """Another fault takes over."""


class Refuse(Fault):
    """No listener: the kernel refuses, as when the server's process is gone."""

    listens = False
    keeps_connections = False


class Reset(Fault):
    """Connections are accepted and reset at once, as by a balancer without a backend."""

    keeps_connections = False


class Blackhole(Fault):
    """Bytes go in and nothing comes out, ever: what was swallowed stays lost."""

    async def request(self, connection: Connection, data: bytes) -> None:
        connection.is_broken = True

    async def reply(self, connection: Connection, data: bytes) -> None:
        connection.is_broken = True


class Unreachable(Blackhole):
    """The host is gone: an attempt to connect is not even refused, it times out."""

    listens = False
    is_reachable = False


class Hold(Fault):
    """Bytes wait and go on when the fault ends, as in a stalled network: requests arrive late."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def request(self, connection: Connection, data: bytes) -> None:
        await self._ended.wait()
        await connection.send_to_server(data)

    async def reply(self, connection: Connection, data: bytes) -> None:
        await self._ended.wait()
        await connection.send_to_client(data)

    def end(self) -> None:
        self._ended.set()


class Delay(Fault):
    """Each chunk of a reply comes late."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def reply(self, connection: Connection, data: bytes) -> None:
        await asyncio.sleep(self.seconds)
        await connection.send_to_client(data)


class DropRequest(Fault):
    """The connection is lost before the server has seen the request: it is not applied."""

    def __init__(self, match: Match, *, every: int, times: int | None) -> None:
        self.match = match
        self.every = every
        self.times = times
        self.seen = 0
        self.dropped = 0

    async def request(self, connection: Connection, data: bytes) -> None:
        if self.is_chosen(connection, data):
            connection.reset()
        else:
            await connection.send_to_server(data)

    def is_chosen(self, connection: Connection, data: bytes) -> bool:
        """Every nth request that matches, so many times."""
        if not self._matches(connection, data):
            return False
        self.seen += 1
        if self.seen % self.every or (self.times is not None and self.dropped >= self.times):
            return False
        self.dropped += 1
        return True

    def _matches(self, connection: Connection, data: bytes) -> bool:
        """The bytes of a match may come in two chunks."""
        if not isinstance(self.match, bytes):
            return self.match(data)
        window = connection.tail + data
        found = self.match in window
        kept = len(self.match) - 1
        connection.tail = b"" if found or not kept else window[-kept:]
        return found


class DropReply(DropRequest):
    """The server has applied the request; the client loses the connection before it hears of it."""

    async def request(self, connection: Connection, data: bytes) -> None:
        if self.is_chosen(connection, data):
            connection.loses_next_reply = True
        await connection.send_to_server(data)

    async def reply(self, connection: Connection, data: bytes) -> None:
        if connection.loses_next_reply:
            connection.reset()
        else:
            await connection.send_to_client(data)
