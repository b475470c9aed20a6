"""The two modes of a worker: Redis at work, or killed before the first job is enqueued; and a web
server for what jobs post."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from example_project.servers import RedisServer
from tests.conftest import Ledger, StartWorker, WaitUntil

if TYPE_CHECKING:
    from tests.acceptance.worker.stage import Stage


@pytest.fixture(params=["redis", "database"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(
    mode: str,
    redis_server: RedisServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    ledger: Ledger,
    tmp_path: Path,
) -> Stage:
    # Imports models: too early for it where pytest loads this file before the settings are there.
    from tests.acceptance.worker.stage import DATABASE, Stage

    if mode == DATABASE:
        redis_server.kill()
    return Stage(mode, redis_server, worker_process, wait_until, ledger, tmp_path)


@pytest.fixture
def posts() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web server's address, and what was posted to it."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()
        thread.join()
