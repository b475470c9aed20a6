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
from dataclasses import dataclass, field
from importlib.util import find_spec
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
    environment: dict[str, str] = field(default_factory=dict)
    redis_away: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of contenders, or how they begin")
    parser.add_argument("--jobs", type=int, help="instead of each contender's own number")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    options = parser.parse_args()
    with Stage(database=options.database) as stage:
        chosen = [c for c in contenders() if is_chosen(c.name, options.only)]
        rates: dict[str, list[float]] = {c.name: [] for c in chosen}
        for _ in range(options.rounds):
            for contender in chosen:
                rate = measure(stage, contender, options.jobs or contender.jobs)
                rates[contender.name].append(rate)
                print(f"{contender.name}: {rate:,.0f} jobs/s", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print_ratios(medians)


def is_chosen(name: str, only: list[str] | None) -> bool:
    return not only or any(name.startswith(begin) for begin in only)


def print_ratios(medians: dict[str, float]) -> None:
    """Each beside ours of the same kind: how many times as fast ours is."""
    rows = []
    for name, rate in medians.items():
        kind = name.partition(", ")[2]
        ours = medians.get(OURS.get(kind, "ours, outbox off"))
        rows.append((name, f"{rate:,.0f}", f"{ours / rate:.1f}" if ours else ""))
    table(("contender", "jobs/s, median", "ours is times as fast"), rows)


OURS = {"a query": "ours, a query", "database": "ours, database"}


def contenders() -> list[Contender]:
    """Ours and the others, each with a number of jobs that takes some seconds."""
    ours = [[*MANAGE, "rqworker", "low", "-v", "0"]]
    two = {"QUEUE_CONCURRENCY": "2"}
    plain, simple = rq_classes("rq.worker.Worker"), rq_classes("rq.worker.SimpleWorker")
    off = {**two, "DRQ_TEST_RESILIENT_QUEUE": '{"OUTBOX": false}'}
    nothing, query = fill_rq("nothing", outbox=False), fill_rq("query", outbox=False)
    with_row = fill_rq("nothing", outbox=True)
    found = [
        Contender("ours, outbox off", 20_000, nothing, ours, off),
        Contender("ours, outbox on", 20_000, with_row, ours, two),
        Contender("rqworker", 300, nothing, ours * 2, plain),
        Contender("SimpleWorker", 2_000, nothing, ours * 2, simple),
        Contender("ours, a query", 20_000, query, ours, off),
        Contender("rqworker, a query", 200, query, ours * 2, plain),
        Contender("ours, database", 8_000, with_row, ours, two, redis_away=True),
    ]
    return found + [rival for rival in rivals() if rival is not None]


def rivals() -> Iterator[Contender | None]:
    """Other queues, as far as they are installed."""
    python = [sys.executable, "-m"]
    celery = [*python, "celery", "-A", "rivals.celery_app", "worker", "-c", "2", "-l", "ERROR"]
    yield rival("celery", 5_000, "celery_app", [celery])
    dramatiq = [*python, "dramatiq", "rivals.dramatiq_app", "-p", "2", "-t", "1"]
    yield rival("dramatiq", 2_000, "dramatiq_app", [dramatiq])
    huey = [*python, "huey.bin.huey_consumer", "rivals.huey_app.huey", "-w", "2", "-k", "process"]
    yield rival("huey", 10_000, "huey_app", [[*huey, "-q"]])
    worker = [*python, "procrastinate", "--app", "rivals.procrastinate_app.app", "worker"]
    yield rival("procrastinate, database", 1_500, "procrastinate_app", [worker, worker])
    tasks = [*MANAGE, "db_worker", "--settings", "rivals.tasks_settings"]
    settings = {"DJANGO_SETTINGS_MODULE": "rivals.tasks_settings"}
    yield rival("django_tasks_db, database", 500, "tasks_app", [tasks, tasks], settings)


def rival(
    name: str,
    jobs: int,
    module: str,
    commands: list[list[str]],
    environment: dict[str, str] | None = None,
) -> Contender | None:
    if find_spec(name.partition(",")[0]) is None:
        print(f"{name}: not installed")
        return None

    def fill(stage: Stage, count: int) -> None:
        command = [sys.executable, "-m", "rivals.fill", module, str(count)]
        subprocess.run(command, cwd=ROOT, env={**paths(stage), **(environment or {})}, check=True)

    return Contender(name, jobs, fill, commands, environment or {})


def rq_classes(worker: str) -> dict[str, str]:
    """Environment in which django-rq works without us."""
    classes = {"QUEUE_CLASS": "django_rq.queues.DjangoRQ", "WORKER_CLASS": worker}
    return {"DRQ_TEST_RQ": json.dumps(classes)}


def fill_rq(job: str, *, outbox: bool) -> Callable[[Stage, int], None]:
    def fill(stage: Stage, count: int) -> None:
        import django_rq
        from django.conf import settings
        from rivals import work

        settings.RESILIENT_QUEUE = {"OUTBOX": outbox, "FAILURE_THRESHOLD": 1}
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
    if contender.redis_away:
        stage.redis.kill()
    contender.fill(stage, count)
    environment = {**paths(stage), **contender.environment}
    with running(contender.commands, environment, stage.folder / "log"):
        while len(found := read(marks)) < 1 + PROCESSES:
            time.sleep(0.05)
    if contender.redis_away:
        stage.redis.start()
    return (count + PROCESSES) / (max(found) - min(found))


def paths(stage: Stage) -> dict[str, str]:
    """The environment of everything that is started here."""
    path = f"{ROOT}:{ROOT / 'benchmarks'}"
    return {**os.environ, "BENCH_MARKS": str(stage.folder / "marks"), "PYTHONPATH": path}


def read(marks: Path) -> list[float]:
    return [float(line) for line in marks.read_text().split()] if marks.exists() else []


@contextmanager
def running(
    commands: list[list[str]], environment: dict[str, str], log: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    with log.open("wb") as output:
        processes = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            for command in commands
        ]
    try:
        yield processes
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
