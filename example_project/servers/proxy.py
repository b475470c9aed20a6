"""A TCP proxy that breaks connections on demand, with or without TLS towards the client."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from example_project.servers import faults
from example_project.servers.ports import LOCALHOST, ReservedPort

CHUNK = 65536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class FaultyProxy:
    """Listens on a free port in front of `target_port`; the fault can be changed at any time.

    The methods that change it return when it is in force: later bytes meet it for certain.
    """

    def __init__(
        self, target_host: str, target_port: int, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.target = (target_host, target_port)
        self.fault = faults.Fault()
        self.connections_made = 0
        self._tls = tls
        self._port = ReservedPort()
        self._connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._full: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def host(self) -> str:
        return LOCALHOST

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def url(self) -> str:
        return f"redis{'s' if self._tls else ''}://{self.host}:{self.port}/0"

    @property
    def dropped(self) -> int:
        """Requests or replies that the present fault has dropped."""
        return self.fault.dropped if isinstance(self.fault, faults.DropRequest) else 0

    def start(self) -> Self:
        self._thread.start()
        self.pass_through()
        return self

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._run(self._shut_down())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._port.release()

    def pass_through(self) -> None:
        self._apply(faults.Fault())

    def refuse(self) -> None:
        self._apply(faults.Refuse())

    def reset(self) -> None:
        self._apply(faults.Reset())

    def blackhole(self) -> None:
        self._apply(faults.Blackhole())

    def unreachable(self) -> None:
        self._apply(faults.Unreachable())

    def hold(self) -> None:
        self._apply(faults.Hold())

    def delay(self, seconds: float) -> None:
        self._apply(faults.Delay(seconds))

    def drop_reply(
        self, match: faults.Match = b"", *, every: int = 1, times: int | None = None
    ) -> None:
        """The server applies the request, as in drop_reply(b"EVALSHA", every=3)."""
        self._apply(faults.DropReply(match, every=every, times=times))

    def drop_request(
        self, match: faults.Match = b"", *, every: int = 1, times: int | None = None
    ) -> None:
        """The server never sees the request."""
        self._apply(faults.DropRequest(match, every=every, times=times))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _apply(self, fault: faults.Fault) -> None:
        self._run(self._change_to(fault))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _change_to(self, fault: faults.Fault) -> None:
        previous, self.fault = self.fault, fault
        for connection in list(self._connections):
            # A stream that has lost bytes can't go on.
            if connection.is_broken or not fault.keeps_connections:
                connection.reset()
        previous.end()
        self._listen_if(fault)

    def _listen_if(self, fault: faults.Fault) -> None:
        while self._full:
            self._full.pop().close()
        if fault.listens:
            self._listen()
        else:
            self._stop_listening()
        if not fault.is_reachable:
            self._fill()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self._new_listener(512)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _fill(self) -> None:
        """A listener whose queue is full: the kernel drops further attempts to connect."""
        self._full.append(self._new_listener(0))
        for _ in range(2):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex((self.host, self.port))
            self._full.append(waiting)

    def _new_listener(self, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(backlog)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        """asyncio's own server, closed at the wrong moment, loses what it has just accepted."""
        with suppress(BlockingIOError, ConnectionError):
            client, _ = listener.accept()
            self.connections_made += 1
            self._serving.add(task := self._loop.create_task(self._serve(client)))
            task.add_done_callback(self._serving.discard)

    async def _shut_down(self) -> None:
        await self._change_to(faults.Refuse())
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    async def _serve(self, client: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError):
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._tls
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            await self._relay(Connection(self, reader, writer))

    async def _relay(self, connection: Connection) -> None:
        self._connections.add(connection)
        try:
            if self.fault.keeps_connections:
                await connection.run()
        finally:
            connection.reset()
            self._connections.discard(connection)


class Connection:
    """One client and its own connection to the server behind."""

    def __init__(
        self, proxy: FaultyProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.tail = b""
        self.is_broken = False
        self.loses_next_reply = False
        self._proxy = proxy
        self._client_reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        with suppress(OSError):
            server_reader, self._server = await asyncio.open_connection(*self._proxy.target)
            both = {
                asyncio.ensure_future(self._pump(self._client_reader, "request")),
                asyncio.ensure_future(self._pump(server_reader, "reply")),
            }
            _, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.wait(both)

    async def send_to_server(self, data: bytes) -> None:
        if self._server is not None:
            await _send(self._server, data)

    async def send_to_client(self, data: bytes) -> None:
        await _send(self._client, data)

    def reset(self) -> None:
        """A real reset towards the client; towards the server a plain end."""
        raw = self._client.get_extra_info("socket")
        if raw is not None and not self._client.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._client.transport.abort()
        if self._server is not None:
            self._server.close()

    async def _pump(self, reader: asyncio.StreamReader, direction: str) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                # The fault of now, not of when the connection was made.
                await getattr(self._proxy.fault, direction)(self, data)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
        await writer.drain()
