"""The table of faults: what is done to whom and for how long, and what a row may cost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.harness.jobs import Work
from benchmarks.harness.stage import Stage

AT = 5.0  # seconds after the first submit, when a fault begins
LONG = 10.0
AOF = {"appendonly": "yes", "appendfsync": "everysec"}
# Slow jobs first, so that the workers are behind when the fault comes; then quick ones.
BACKLOG = Work(below=250, backlog=0.07)
SLOW_BACKLOG = Work(below=250, backlog=0.09)  # some 22 jobs end in the second that is cut off
MID_JOB = Work(slow=0.15, every=10)
KILLS = 4


@dataclass(frozen=True)
class Row:
    """One line of the table. `doubles` are executions that the fault itself cut in half."""

    title: str
    apply: Callable[[Stage], None]
    work: Work = field(default_factory=Work)
    options: dict[str, str] = field(default_factory=dict)
    is_proxied: bool = False
    is_watched: bool = False
    is_cold: bool = False
    only: str = ""
    doubles: int = 0
    gap: float = 3.0
    letters: int = 0


def nothing(stage: Stage) -> None:
    """The bare line to compare with."""


def killed(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault():
        stage.redis.kill()
        time.sleep(LONG)
        stage.redis.start()


def power_loss(stage: Stage) -> None:
    """What was written in the last second is not on the disk."""
    stage.until(AT - 1)
    size = _aof_size(stage)
    stage.until(AT)
    with stage.fault():
        stage.redis.kill()
        stage.redis.truncate_aof(_aof_size(stage) - size)
        time.sleep(LONG / 2)
        stage.redis.start()


def _aof_size(stage: Stage) -> int:
    files = stage.redis.data.rglob("appendonly*.aof")
    return max(files, key=lambda path: path.stat().st_mtime).stat().st_size


def frozen(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault(), stage.redis.frozen():
        time.sleep(LONG)


def through_proxy(change: str, *arguments: object, **options: object) -> Callable[[Stage], None]:
    def apply(stage: Stage) -> None:
        assert stage.proxy is not None
        stage.until(AT)
        with stage.fault():
            getattr(stage.proxy, change)(*arguments, **options)
            time.sleep(LONG)
            stage.proxy.pass_through()

    return apply


def drop_reply_of(words: bytes, *, every: int) -> Callable[[Stage], None]:
    """Of requests with these words; the server has executed them."""

    def apply(stage: Stage) -> None:
        assert stage.proxy is not None
        stage.until(AT)
        with stage.fault():
            stage.proxy.drop_reply(words, every=every)
            time.sleep(LONG)
            print(f"    replies dropped: {stage.proxy.dropped}")
            stage.proxy.pass_through()

    return apply


def out_of_memory(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault(), stage.client() as client:
        client.config_set("maxmemory", 1)
        time.sleep(LONG)
        client.config_set("maxmemory", 0)


def read_only(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault(), stage.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        time.sleep(LONG)
        client.execute_command("REPLICAOF", "NO", "ONE")


def misconf(stage: Stage) -> None:
    """A snapshot can't take the place of a directory; from then on Redis refuses writes."""
    stage.until(AT)
    blocker = stage.redis.data / "dump.rdb"
    with stage.fault(), stage.client() as client:
        blocker.unlink(missing_ok=True)
        blocker.mkdir()
        client.config_set("save", "3600 1")
        client.bgsave()
        time.sleep(LONG)
        blocker.rmdir()
        client.bgsave()
        client.config_set("save", "")


def flushed(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault():
        print(f"    backlog: {stage.client().llen('rq:queue:default')}")
        stage.redis.flush()


def each_mid_job(act: Callable[[Stage, int, int], None]) -> Callable[[Stage], None]:
    def apply(stage: Stage) -> None:
        for i in range(KILLS):
            stage.until(AT + 3 * i)
            target = stage.mid_job()
            with stage.fault():
                act(stage, target.worker, target.horse)

    return apply


def flapping(stage: Stage) -> None:
    stage.until(AT - 3)
    began = time.monotonic()
    with stage.fault():
        for i in range(8):
            stage.redis.kill()
            time.sleep(max(began + 4 * i + 2 - time.monotonic(), 0))
            stage.redis.start()
            time.sleep(max(began + 4 * (i + 1) - time.monotonic(), 0))


def down_at_start(stage: Stage) -> None:
    with stage.fault():
        stage.until(LONG)
        stage.redis.start()


def both(stage: Stage) -> None:
    """The database is away for 15 s; Redis, too, in the middle of it."""
    server = stage.database.server
    assert server is not None
    stage.until(AT)
    with stage.fault():
        server.kill()
        stage.until(AT + 5)
        began = time.monotonic()
        stage.redis.kill()
        stage.until(AT + 10)
        stage.redis.start()
        stage.both_down.append((began, time.monotonic()))
        stage.until(AT + 15)
        server.start()


def failover(stage: Stage) -> None:
    stage.until(AT)
    with stage.fault():
        stage.redis.kill()
        time.sleep(LONG)


def rows(push: bytes, pop: bytes) -> dict[str, Row]:
    """*push* and *pop*: words in the requests that submit and that pop, for dropped replies."""
    tree = each_mid_job(lambda stage, worker, _: stage.workers.kill_tree(worker))
    parent = each_mid_job(lambda stage, worker, _: stage.workers.kill(worker))
    horse = each_mid_job(lambda stage, worker, pid: stage.workers.kill_horse(pid, worker))
    warm = each_mid_job(lambda stage, worker, _: stage.workers.kill(worker, signal.SIGTERM))
    proxied = partial(Row, is_proxied=True)
    return {
        "none": Row("none", nothing),
        "killed": Row("kill -9, AOF everysec", killed, options=AOF),
        "power": Row("power loss, AOF cut, backlog", power_loss, SLOW_BACKLOG, AOF, doubles=25),
        "empty": Row("kill -9, back empty, backlog", killed, BACKLOG),
        "frozen": Row("frozen (SIGSTOP)", frozen),
        "blackhole": proxied("black hole", through_proxy("blackhole")),
        "reset": proxied("connections reset", through_proxy("reset")),
        "late": proxied("every reply 300 ms late", through_proxy("delay", 0.3)),
        "oom": Row("out of memory, noeviction", out_of_memory),
        "readonly": Row("read-only", read_only),
        "flushall": Row("FLUSHALL with a backlog", flushed, BACKLOG),
        "misconf": Row("MISCONF", misconf),
        "tree": Row("worker tree kill -9 x4", tree, MID_JOB, doubles=KILLS),
        "horse": Row("work horse kill -9 x4", horse, MID_JOB, doubles=KILLS, letters=KILLS),
        "parent": Row("worker parent kill -9 x4", parent, MID_JOB, doubles=KILLS),
        "sigterm": Row("worker SIGTERM mid-job x4", warm, MID_JOB),
        "flapping": Row("flapping, 2 s down 2 s up x8", flapping, options=AOF),
        "start": Row("down at start, back after 10 s", down_at_start, is_cold=True),
        "both": Row("database down, Redis too", both, options=AOF, only="postgres", gap=8),
        "submit-3rd": proxied("every 3rd submit's reply", drop_reply_of(push, every=3)),
        "submit-all": proxied("every submit's reply", drop_reply_of(push, every=1)),
        "pop-5th": proxied("every 5th pop's reply", drop_reply_of(pop, every=5)),
        "sentinel": Row("Sentinel failover", failover, is_watched=True),
    }
