"""One run: servers, workers, producer and ledger, and the moments between which a fault lasts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.harness.databases import ROOT, TABLE, Database
from benchmarks.harness.jobs import Work
from benchmarks.harness.ledger import Execution, Ledger
from benchmarks.harness.supervisor import Supervisor
from example_project.servers import FaultyProxy, RedisServer, SentinelServer

T = TypeVar("T")

WORKERS = 2
PATIENCE = 25.0  # seconds after the last progress, when what is missing counts as lost


class Stage:
    """Faults are applied from outside, to `redis`, `proxy`, `sentinel`, `database`, `workers`."""

    workers: Supervisor

    def __init__(
        self,
        name: str,
        directory: Path,
        database: Database,
        *,
        work: Work,
        options: dict[str, str],
        is_proxied: bool,
        is_watched: bool,
    ) -> None:
        self.directory = directory / name
        self.directory.mkdir()
        self.database = database
        self.ledger = Ledger(self.directory / "ledger.txt")
        self.windows: list[tuple[float, float]] = []
        self.both_down: list[tuple[float, float]] = []
        self.began_at = 0.0
        self.settled_at = 0.0  # when no row was out of the ordinary any more, after the fault
        self.left = ""
        self.redis = RedisServer(options=options)
        self.replica = RedisServer(replica_of=self.redis) if is_watched else None
        self.sentinel = SentinelServer(self.redis) if is_watched else None
        self.proxy = FaultyProxy(self.redis.host, self.redis.port) if is_proxied else None
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "DRQ_BENCH_DATABASE": json.dumps(database.fresh(name.replace("-", "_"))),
            "DRQ_BENCH_QUEUE": json.dumps(self._queue()),
            "DRQ_BENCH_LEDGER": str(self.ledger.path),
            "DRQ_BENCH_WORK": work.dump(),
        }

    # ---- course --------------------------------------------------------------------------------

    def open(self, *, cold: bool) -> None:
        """Starts everything; *cold* leaves Redis down."""
        if not cold:
            self.redis.start()
        if self.replica and self.sentinel:
            self.replica.start()
            self.sentinel.start()
            wait_for(lambda: self._sentinel_knows_both(), 15)
        if self.proxy:
            self.proxy.start()
        self.workers = Supervisor(WORKERS, self.directory, self._environment)
        if not cold:
            wait_for(lambda: self.client().scard("rq:workers") == WORKERS, 30)

    def produce(self, jobs: int, rate: float) -> None:
        """Starts the producer; the run begins when its threads do."""
        command = [sys.executable, "-m", "benchmarks.harness.producer", str(jobs), str(rate)]
        with (self.directory / "producer.log").open("wb") as log:
            self._producer = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._producer.stdin is not None
        assert self._producer.stdout is not None
        self._producer.stdout.readline()
        self.began_at = time.monotonic()
        self._producer.stdin.write(f"{self.began_at}\n".encode())
        self._producer.stdin.flush()

    def finish(self) -> None:
        """Waits until every accepted job has ended, or nothing has for long."""
        moved_at = time.monotonic()
        while True:
            now = time.monotonic()
            if self.ledger.read():
                moved_at = now
            is_quiet = now - moved_at > 0.5
            self._look_for_the_end_of_the_backlog()
            is_over = self._producer.poll() is not None
            if is_over and is_quiet and not self.missing():
                break
            if is_over and now - moved_at > PATIENCE:
                break
            time.sleep(0.1)
        self._wait_until_nothing_is_left()

    def close(self) -> None:
        if hasattr(self, "workers"):
            self.workers.close()
        if hasattr(self, "_producer"):
            self._producer.kill()
            self._producer.communicate()
        for server in (self.proxy, self.sentinel, self.replica, self.redis):
            if server is not None:
                server.close()

    # ---- what a fault needs --------------------------------------------------------------------

    @contextmanager
    def fault(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.windows.append((began, time.monotonic()))

    def until(self, seconds: float) -> None:
        """Sleeps until so long after the first submit."""
        time.sleep(max(self.began_at + seconds - time.monotonic(), 0))

    def mid_job(self, longer_than: float = 0.02) -> Execution:
        """An execution by a worker that lives, which has been running for a while."""

        def found() -> Execution | None:
            self.ledger.read()
            pids, now = self.workers.pids(), time.monotonic()
            return next(
                (
                    each
                    for each in self.ledger.running()
                    if each.worker in pids
                    and longer_than < now - each.started < 0.15
                    and Path(f"/proc/{each.horse}").exists()
                ),
                None,
            )

        execution = wait_for(found, 20, pause=0.003)
        assert execution is not None
        return execution

    def client(self) -> redis.Redis:
        """The Redis that is master now."""
        options: dict[str, Any] = {"socket_timeout": 5, "retry": Retry(NoBackoff(), 0)}
        if self.sentinel is None:
            return self.redis.client()
        manager = redis.Sentinel([self.sentinel.address], sentinel_kwargs=options, **options)
        client: redis.Redis = manager.master_for(self.sentinel.service_name, **options)
        return client

    # ---- what is left --------------------------------------------------------------------------

    def missing(self) -> set[int]:
        """Accepted, no end line, no dead letter."""
        open_ = {n: s.words for n, s in self.ledger.accepted.items() if n not in self.ledger.ended}
        if not open_:
            return set()
        letters = self.letters()
        return {number for number, job_id in open_.items() if job_id not in letters}

    def letters(self) -> set[str]:
        return {row[0] for row in self.database.ask(f"SELECT job_id FROM {TABLE}deadletter")}

    def rows(self, where: str = "1 = 1") -> int:
        query = f"SELECT count(*) FROM {TABLE}fallbackjob WHERE {where}"
        return int(self.database.ask(query)[0][0])

    def entries(self) -> int:
        """Jobs in rq's list and started registry."""
        with suppress(redis.RedisError), self.client() as client:
            return int(client.llen("rq:queue:default")) + int(client.zcard("rq:wip:default"))
        return -1

    # ---- private -------------------------------------------------------------------------------

    def _look_for_the_end_of_the_backlog(self) -> None:
        """While submits go on, rows in the state `dispatched` come and go as they should."""
        if not self.settled_at and not self.rows("state = 'ready'"):
            self.settled_at = time.monotonic()

    def _wait_until_nothing_is_left(self) -> None:
        with suppress(TimeoutError):
            wait_for(lambda: not (self.rows() or self.entries()), 10, pause=0.1)
        rows, entries = self.rows(), self.entries()
        self.left = f"{rows} rows, {entries} entries" if rows or entries else ""

    def _queue(self) -> dict[str, Any]:
        if self.sentinel:
            return {
                "SENTINELS": [list(self.sentinel.address)],
                "MASTER_NAME": self.sentinel.service_name,
                "DB": 0,
                "SOCKET_TIMEOUT": 5,
            }
        server = self.proxy or self.redis
        return {"HOST": server.host, "PORT": server.port, "DB": 0}

    def _sentinel_knows_both(self) -> bool:
        assert self.sentinel is not None
        with suppress(redis.RedisError), self.sentinel.client() as client:
            return bool(client.sentinel_slaves(self.sentinel.service_name))
        return False


def wait_for(condition: Callable[[], T], timeout: float, *, pause: float = 0.05) -> T:
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer!r} after {timeout} s")
        time.sleep(pause)
    return answer
