"""The virus scanner: clamd's INSTREAM command, over a Unix socket or TCP."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from ....conf import settings
from .errors import FileRefused, Infected, NotScanned

_COMMAND = b"zINSTREAM\0"
_CHUNK = 64 * 1024
_LONGEST_ANSWER = 4096
_TOO_LARGE = "size limit exceeded"


def scan(path: Path) -> None:
    """Return when clamd knows nothing against a file, or when FILE_SCANNER names none.

    Raises Infected, FileRefused for what is larger than clamd takes, and NotScanned.
    """
    if not settings.FILE_SCANNER:
        return
    try:
        answer = _ask(path)
    except OSError as error:
        raise NotScanned(f"no answer from the virus scanner: {type(error).__name__}") from error
    _judge(answer)


def _judge(answer: str) -> None:
    if answer == "stream: OK":
        return
    if answer.startswith("stream: ") and answer.endswith(" FOUND"):
        raise Infected(f"infected: {answer[len('stream: ') : -len(' FOUND')][:100]}")
    if _TOO_LARGE in answer:
        raise FileRefused("larger than the virus scanner takes, clamd's StreamMaxLength")
    raise NotScanned(f"the virus scanner answers {answer[:100]!r}")


def _ask(path: Path) -> str:
    deadline = monotonic() + settings.FILE_SCAN_TIMEOUT
    with _connected(settings.FILE_SCANNER, deadline) as connection:
        try:
            _send(connection, path, deadline)
        # It hangs up in the middle of what is too large, and has said so before.
        except (BrokenPipeError, ConnectionResetError) as error:
            answer = ""
            with suppress(OSError):
                answer = _receive(connection, deadline)
            if _TOO_LARGE in answer:
                return answer
            raise error
        return _receive(connection, deadline)


def _connected(address: str, deadline: float) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname, parts.port), _left(deadline))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_left(deadline))
        connection.connect(parts.path)
    except BaseException:
        connection.close()
        raise
    return connection


def _send(connection: socket.socket, path: Path, deadline: float) -> None:
    connection.sendall(_COMMAND)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            connection.settimeout(_left(deadline))
            connection.sendall(struct.pack("!L", len(chunk)) + chunk)
    connection.sendall(struct.pack("!L", 0))


def _receive(connection: socket.socket, deadline: float) -> str:
    answer = b""
    while b"\0" not in answer and len(answer) < _LONGEST_ANSWER:
        connection.settimeout(_left(deadline))
        part = connection.recv(_LONGEST_ANSWER)
        if not part:
            raise ConnectionError("hung up")
        answer += part
    return answer.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("FILE_SCAN_TIMEOUT is over")
    return left
