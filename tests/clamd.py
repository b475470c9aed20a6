"""A virus scanner: clamd itself where it is installed, and always one that speaks as it does."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import socketserver
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from example_project.servers.processes import end, spawn
from tests.samples import EICAR

PROGRAM = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
KINDS = ["speaker", *(["clamd"] if PROGRAM else [])]


class Speaker(socketserver.ThreadingTCPServer):
    """Speaks clamd's INSTREAM, knows EICAR; *answer* is what it says instead, None for nothing."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, most: int = 25 * 1024 * 1024, answer: bytes | None = b"") -> None:
        self.most, self.answer, self.busy_for = most, answer, 0
        self.scanned: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: Speaker

    def handle(self) -> None:
        # Of a client that has hung up there is nothing to be told.
        with contextlib.suppress(ConnectionError):
            if self.server.answer is None or self.rfile.read(10) != b"zINSTREAM\0":
                return
            self.wfile.write(self.server.answer or self._verdict())

    def _verdict(self) -> bytes:
        content = b""
        while size := struct.unpack("!L", self.rfile.read(4))[0]:
            if len(content) + size > self.server.most:
                return b"INSTREAM size limit exceeded. ERROR\0"
            content += self.rfile.read(size)
        if self.server.busy_for:
            self.server.busy_for -= 1
            return b"stream: Can't allocate memory ERROR\0"
        self.server.scanned.append(content)
        return b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0"


@contextmanager
def speaking(**options: Any) -> Iterator[Speaker]:
    import threading

    with Speaker(**options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running() -> Iterator[str]:
    """clamd with one signature of our own; yields its address."""
    assert PROGRAM
    # A socket's path may have a hundred characters, and a test's folder has more.
    with tempfile.TemporaryDirectory(prefix="drq-clamd-") as name:
        folder = Path(name)
        signatures = folder / "signatures"
        signatures.mkdir()
        digest = hashlib.md5(EICAR, usedforsecurity=False).hexdigest()
        (signatures / "test.hdb").write_text(f"{digest}:{len(EICAR)}:Eicar-Test-Signature\n")
        (folder / "clamd.conf").write_text(
            f"DatabaseDirectory {signatures}\nLocalSocket {folder}/clamd.ctl\nForeground yes\n"
            f"StreamMaxLength 1M\nTemporaryDirectory {folder}\nLogFile {folder}/clamd.log\n"
        )
        process = spawn(
            [PROGRAM, "--config-file", str(folder / "clamd.conf")],
            log=folder / "output",
            directory=folder,
            environment={"PATH": "/usr/bin:/bin"},
        )
        try:
            yield f"unix:{folder}/clamd.ctl"
        finally:
            end(process, 15, timeout=20)


def answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address.removeprefix("unix:"))
            connection.sendall(b"zPING\0")
            return connection.recv(10) == b"PONG\0"
        except OSError:
            return False
