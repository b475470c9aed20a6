"""What alerts are sent to in tests: a file, a channel that waits, and servers that hang."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from django_resilient_queue.alerts import Notice
from tests.jobs import record

FILE = "DRQ_TEST_ALERTS"


def to_file(notice: Notice) -> None:
    """A channel: one line a notice."""
    record(os.environ[FILE], f"{notice.rule} {notice.kind}")


def when_released(notice: Notice) -> None:
    """A channel that begins, and goes on once the test wants it."""
    record(os.environ[FILE], f"begin {notice.rule}")
    gate = Path(os.environ[FILE] + ".gate")
    while not gate.exists():
        threading.Event().wait(0.02)
    to_file(notice)


def refuse(notice: Notice) -> None:
    """A channel that never works."""
    raise ConnectionError("nobody is there")


@contextmanager
def hanging_server() -> Iterator[int]:
    """Takes calls and says nothing; gives its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


class Hook:
    """A web server that keeps what is posted, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.posts: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heads = {name.lower(): value for name, value in self.headers.items()}
                outer.posts.append((heads, body))
                self.send_response(outer.status)
                if outer.status in (301, 302, 307, 308):
                    self.send_header("Location", outer.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                outer.posts.append(({}, b"{}"))
                self.send_error(500)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/alerts"

    @property
    def bodies(self) -> list[dict[str, str]]:
        return [json.loads(body) for _, body in self.posts]


@contextmanager
def hook() -> Iterator[Hook]:
    running = Hook()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield running
    finally:
        running.http.shutdown()
        thread.join()
        running.http.server_close()
