"""What a scrape costs with a million rows, and what counting costs an enqueue.

python benchmarks/bench_metrics.py [--rows 1000000] [--calls 150] [--rounds 20]

The table holds rows of all states, Redis as many jobs, the tally sums of many letters, the measures
50 types of jobs in all shards; CONN_MAX_AGE is 60. Enqueues with counting and without it are timed
in turns, in one run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from stage import Stage, multiply, table

LIMIT = 50.0  # milliseconds
INTERVAL = 10.0  # seconds between two writes of a process, as by default
SCRAPES, TYPES, QUEUES = 51, 50, ("critical", "high", "default", "low")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        enqueues(stage, options.calls, options.rounds)
        fill(stage, options.rows)
        scrapes(options.rows)
        stage.clear()


# ---- a scrape ----------------------------------------------------------------------------------


def fill(stage: Stage, count: int) -> None:
    """Rows made by the database of one; jobs in Redis' lists by Lua."""
    import django_rq
    from django.db import connection

    from django_resilient_queue.models import FallbackJob, LetterTally

    django_rq.get_queue("low").enqueue(print, 1)
    row = {
        "job_id": "'job-' || n",
        "queue_name": "(ARRAY['critical', 'high', 'default', 'low'])[1 + n % 4]",
        "state": "(ARRAY['dispatched', 'ready', 'finished', 'claimed'])[1 + n % 4]",
        "due_at": "due_at + n * interval '1 millisecond' - interval '1 hour'",
    }
    multiply(FallbackJob, row, count)
    letters(count)
    multiply(LetterTally, {"digest": "md5(n::text)", "handler": "'shop.jobs.' || n % 200"}, 4000)
    measures()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    push = "for i = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], 'job-' .. i) end"
    for name in QUEUES:
        stage.redis.client().eval(push, 1, f"rq:queue:{name}", count // len(QUEUES))


def letters(count: int) -> None:
    """One letter, and many like it."""
    from django_rq import get_queue

    from django_resilient_queue.jobs import JobSnapshot
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.outcomes import Failure, Reason

    job = get_queue("low").create_job(print)
    failure = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\n")
    letter = DeadLetter.of(JobSnapshot.of(job, queue_name="low"), failure, attempts=1)
    DeadLetter.objects.record([letter])
    moved = "died_at - n * interval '1 second'"
    multiply(DeadLetter, {"job_id": "'job-' || n", "died_at": moved}, count // 10)


def measures() -> None:
    """Of many types of jobs, each in its queue, by both stores and in all shards."""
    from django_resilient_queue.meter import Key, Kind, Meter
    from django_resilient_queue.models import Measure
    from django_resilient_queue.models.measure import SHARDS

    meter = Meter()
    for number in range(TYPES):
        for store in ("redis", "database"):
            for kind in (Kind.ENQUEUED, Kind.PERFORMED):
                queue_name = QUEUES[number % len(QUEUES)]
                key = Key(kind, queue_name, f"shop.jobs.job_{number}", store)
                meter.count(key, seconds=0.01)
    sums = meter.take()
    for shard in range(SHARDS):
        Measure.objects.add(sums, shard=shard)


def scrapes(rows: int) -> None:
    from django.db import connections

    from django_resilient_queue.metrics import exposition, page_collector

    connections["default"].settings_dict["CONN_MAX_AGE"] = 60
    collector = page_collector()
    parts: dict[str, list[float]] = {"Redis": [], "the database": [], "the page": []}
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        found = collector.ask()
        text = exposition(found)[0]
        parts["the page"].append(time.perf_counter() - begun)
        parts["the database"].append(found.database.seconds)
        parts["Redis"].append(max(each.seconds for each in found.redis.values()))
    print(f"{rows:,} rows, a page of {len(text) // 1024} KiB")
    lines = [
        (name, f"{min(took) * 1000:.1f}", f"{statistics.median(took) * 1000:.1f}", f"<= {LIMIT:g}")
        for name, took in parts.items()
    ]
    table(("a scrape, milliseconds", "shortest", "median", "target"), lines)


# ---- an enqueue --------------------------------------------------------------------------------


def enqueues(stage: Stage, calls: int, rounds: int) -> None:
    import django_rq
    from django.db import transaction

    queue = django_rq.get_queue("default")

    def in_transaction() -> None:
        with transaction.atomic():
            queue.enqueue(print, 1)

    ways: tuple[tuple[str, bool, Callable[[], object]], ...] = (
        ("outbox off", False, lambda: queue.enqueue(print, 1)),
        ("outbox on, in a transaction", True, in_transaction),
    )
    lines = [(name, *compare(stage, outbox, call, calls, rounds)) for name, outbox, call in ways]
    table(("an enqueue", "milliseconds without", "with counting", "ratio", "spread"), lines)
    print(f"a write of {TYPES} sums, each {INTERVAL:g} s: {write():.1f} milliseconds")


def write() -> float:
    """The median of many, of a connection that is open."""
    from django.conf import settings

    from django_resilient_queue.meter import Key, Kind
    from django_resilient_queue.stores import measures

    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 3600}
    costs = []
    for _ in range(SCRAPES):
        for number in range(TYPES):
            measures.count(Key(Kind.ENQUEUED, "default", f"job_{number}", "redis"), seconds=0.01)
        begun = time.perf_counter()
        measures.write(alias="default")
        costs.append((time.perf_counter() - begun) * 1000)
    return statistics.median(costs)


def compare(
    stage: Stage, outbox: bool, call: Callable[[], object], calls: int, rounds: int
) -> tuple[str, ...]:
    from django.conf import settings

    took: dict[float, list[float]] = {0: [], INTERVAL: []}
    for number in range(rounds + 1):
        for interval in (0, INTERVAL) if number % 2 else (INTERVAL, 0):
            settings.RESILIENT_QUEUE = {"OUTBOX": outbox, "METRICS_INTERVAL": interval}
            begun = time.perf_counter()
            for _ in range(calls):
                call()
            if number:  # the first round warms up
                took[interval].append((time.perf_counter() - begun) / calls * 1000)
        stage.clear()
    ratios = sorted(a / b for a, b in zip(took[INTERVAL], took[0], strict=True))
    medians = (f"{statistics.median(each):.3f}" for each in took.values())
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return (*medians, f"{statistics.median(ratios):.2f}", spread)


if __name__ == "__main__":
    main()
