"""Ports of this machine, chosen by the kernel and kept for a server through its restarts."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

LOCALHOST = "127.0.0.1"


class ReservedPort:
    """A free port that nobody else is given; connecting to it is refused until a server listens.

    The socket is bound but never listens. On Linux a second socket may then bind the same port if
    both set SO_REUSEADDR, as servers do, while the kernel never gives it to one who asks for any.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOCALHOST, 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def release(self) -> None:
        self._socket.close()


def answers(port: int) -> bool:
    """Whether anything accepts a connection; it may be someone else's server."""
    with suppress(OSError), socket.create_connection((LOCALHOST, port), timeout=1):
        return True
    return False
