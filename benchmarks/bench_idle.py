"""An idle worker: how soon it picks a job up, what memory it takes, how often it asks Redis.

python benchmarks/bench_idle.py [--jobs N]

Four queues; one worker with two horses, beside two of `manage.py rqworker` as django-rq has it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench_worker import MANAGE, paths, read, rq_classes, running
from stage import Stage, table

QUEUES = ("critical", "high", "default", "low")
OURS = [*MANAGE, "rqworker", *QUEUES, "-v", "0"]
TWO_HORSES = {"QUEUE_CONCURRENCY": "2"}
MANY, WATCHED = 12, 30.0  # idle workers, and for how many seconds Redis is watched
SETTLED = 3.0  # seconds after which a worker that has just begun counts as idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        rows = [
            ("ours, Redis", *latencies(stage, options.jobs, OURS, TWO_HORSES)),
            ("ours, database", *latencies(stage, options.jobs, OURS, TWO_HORSES, away=True)),
        ]
        plain = rq_classes("rq.worker.Worker")
        rows.append(("two rqworkers", *latencies(stage, options.jobs, OURS, plain, processes=2)))
        table(("picked up after, milliseconds", "p50", "p90", "p99", "longest"), rows)
        ours, theirs = memory(stage, [OURS], TWO_HORSES), memory(stage, [OURS] * 2, plain)
        table(
            ("idle", "MiB (PSS)", "ours is times as large"),
            [
                ("ours, two horses", f"{ours:.1f}", "1.00"),
                ("two rqworkers", f"{theirs:.1f}", f"{ours / theirs:.2f}"),
            ],
        )
        polls = requests_a_second(stage)
        table(("requests to Redis", "a second"), [(f"each of {MANY} idle workers", f"{polls:.2f}")])


def latencies(
    stage: Stage,
    jobs: int,
    command: list[str],
    environment: dict[str, str],
    *,
    processes: int = 1,
    away: bool = False,
) -> list[str]:
    """Enqueue one job at a time on any of the queues, for a worker that is idle."""
    stage.clear()
    marks = stage.folder / "marks"
    marks.unlink(missing_ok=True)
    if away:
        stage.redis.kill()
    with running([command] * processes, {**paths(stage), **environment}, stage.folder / "log"):
        waits = list(pick_ups(marks, jobs))
    if away:
        stage.redis.start()
    cuts = statistics.quantiles(waits, n=100)
    return [f"{value:.1f}" for value in (cuts[49], cuts[89], cuts[98], max(waits))]


def pick_ups(marks: Path, jobs: int) -> Iterator[float]:
    """Milliseconds from the return of each `enqueue` to the first line of its job."""
    import django_rq
    from django.conf import settings
    from rivals import work

    settings.RESILIENT_QUEUE = {"OUTBOX": False, "FAILURE_THRESHOLD": 1}
    queues = [django_rq.get_queue(name) for name in QUEUES]
    queues[0].enqueue(work.mark)  # the first waits for the worker to start
    while not read(marks):
        time.sleep(0.05)
    time.sleep(SETTLED)
    for count in range(2, jobs + 2):
        random.choice(queues).enqueue(work.mark)
        accepted = time.time()
        while len(found := read(marks)) < count:
            time.sleep(0.002)
        yield (found[-1] - accepted) * 1000
        time.sleep(random.uniform(0.02, 0.12))


def memory(stage: Stage, commands: list[list[str]], environment: dict[str, str]) -> float:
    """MiB that idle workers take, each shared page counted once among those that share it."""
    stage.clear()
    with running(commands, {**paths(stage), **environment}, stage.folder / "log") as processes:
        time.sleep(SETTLED * 2)
        pids = [pid for process in processes for pid in family(process.pid)]
        return sum(pss(pid) for pid in pids) / 1024


def family(pid: int) -> list[int]:
    """A process and all that it has forked."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in listed for found in family(int(child)))]


def pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def requests_a_second(stage: Stage) -> float:
    """What idle workers send, as Redis sees it; those commands that a script runs do not count.

    One of them has duties besides, for all: its connection is the busiest, and is left out.
    """
    from django_resilient_queue.models import WorkerHeartbeat

    stage.clear()
    sent: dict[str, int] = {}
    with (
        running([OURS] * MANY, {**paths(stage), **TWO_HORSES}, stage.folder / "log"),
        stage.redis.client() as client,
        client.monitor() as monitor,
    ):
        while WorkerHeartbeat.objects.filter(mode="redis").count() < MANY:
            time.sleep(0.1)
        begun = time.monotonic() + SETTLED
        until = begun + WATCHED
        while time.monotonic() < until:
            command = monitor.next_command()
            if command["client_type"] != "lua" and time.monotonic() >= begun:
                port = command["client_port"]
                sent[port] = sent.get(port, 0) + 1
    return (sum(sent.values()) - max(sent.values())) / WATCHED / (MANY - 1)


if __name__ == "__main__":
    main()
