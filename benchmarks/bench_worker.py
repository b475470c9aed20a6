"""Jobs a second: this worker beside rq's own, and beside other queues where they are installed.

python benchmarks/bench_worker.py [--only NAME …] [--jobs N] [--rounds 3]

Every contender has two processes that execute jobs. All jobs are enqueued before the first process
starts; counted is the time from the first job to the last, so that starting up does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stage import ROOT, Stage, table

sys.path.insert(0, str(ROOT / "benchmarks"))

MANAGE = [sys.executable, "-m", "django"]
PROCESSES = 2


@dataclass
class Contender:
    """``fill`` enqueues n jobs between a mark at the start and marks at the end."""

    name: str
    jobs: int
    fill: Callable[[Stage, int], None]
    commands: list[list[str]]
    environment: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--jobs", type=int, help="instead of each contender's own number")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    options = parser.parse_args()
    with Stage(database=options.database) as stage:
        chosen = [c for c in contenders() if not options.only or c.name in options.only]
        rates: dict[str, list[float]] = {c.name: [] for c in chosen}
        for _ in range(options.rounds):
            for contender in chosen:
                rate = measure(stage, contender, options.jobs or contender.jobs)
                rates[contender.name].append(rate)
                print(f"{contender.name}: {rate:,.0f} jobs/s", flush=True)
    rows = [(name, f"{statistics.median(found):,.0f}") for name, found in rates.items()]
    table(("contender", "jobs/s"), rows)


def contenders() -> list[Contender]:
    """Ours and the others, each with a number of jobs that takes some seconds."""
    ours = [[*MANAGE, "rqworker", "low", "-v", "0"]]
    two = {"QUEUE_CONCURRENCY": "2"}
    plain = rq_classes("rq.worker.Worker")
    simple = rq_classes("rq.worker.SimpleWorker")
    off = {"DRQ_TEST_RESILIENT_QUEUE": '{"OUTBOX": false}'}
    return [
        Contender(
            "ours, outbox off", 20_000, fill_rq("nothing", outbox=False), ours, {**two, **off}
        ),
        Contender("ours, outbox on", 20_000, fill_rq("nothing", outbox=True), ours, two),
        Contender("ours, a query", 20_000, fill_rq("query", outbox=False), ours, {**two, **off}),
        Contender("rqworker", 300, fill_rq("nothing", outbox=False), ours * 2, plain),
        Contender("rqworker, a query", 200, fill_rq("query", outbox=False), ours * 2, plain),
        Contender("SimpleWorker", 2_000, fill_rq("nothing", outbox=False), ours * 2, simple),
    ]


def rq_classes(worker: str) -> dict[str, str]:
    """Environment in which django-rq works without us."""
    classes = {"QUEUE_CLASS": "django_rq.queues.DjangoRQ", "WORKER_CLASS": worker}
    return {"DRQ_TEST_RQ": json.dumps(classes)}


def fill_rq(job: str, *, outbox: bool) -> Callable[[Stage, int], None]:
    def fill(stage: Stage, count: int) -> None:
        import django_rq
        from django.conf import settings
        from rivals import work

        settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
        queue = django_rq.get_queue("low")
        queue.enqueue(work.mark, result_ttl=-1)
        function = getattr(work, job)
        for start in range(0, count, 1000):
            datas = [queue.prepare_data(function) for _ in range(start, min(start + 1000, count))]
            queue.enqueue_many(datas)
        for _ in range(PROCESSES):
            queue.enqueue(work.mark)

    return fill


def measure(stage: Stage, contender: Contender, count: int) -> float:
    """One round of one contender, in jobs a second."""
    stage.clear()
    marks = stage.folder / "marks"
    marks.unlink(missing_ok=True)
    contender.fill(stage, count)
    environment = {
        **os.environ,
        "BENCH_MARKS": str(marks),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}",
        **contender.environment,
    }
    with running(contender.commands, environment):
        while len(found := read(marks)) < 1 + PROCESSES:
            time.sleep(0.05)
    return (count + PROCESSES) / (max(found) - min(found))


def read(marks: Path) -> list[float]:
    return [float(line) for line in marks.read_text().split()] if marks.exists() else []


@contextmanager
def running(commands: list[list[str]], environment: dict[str, str]) -> Iterator[None]:
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        for command in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


if __name__ == "__main__":
    main()
