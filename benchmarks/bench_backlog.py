"""A long backlog: what a claim costs with a million jobs queued, and what memory a worker takes.

python benchmarks/bench_backlog.py [--queued N] [--performed N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from bench_idle import OURS, TWO_HORSES, family, pss
from bench_worker import fill_rq, paths, read, running
from django.db.models import Model
from stage import Stage, table

FEW, BATCH, BATCHES = 1_000, 50, 19


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--performed", type=int, default=100_000)
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        rows = []
        for store, cost in (("Redis", claims_from_redis), ("PostgreSQL", claims_from_database)):
            few, many = cost(stage, FEW), cost(stage, options.queued)
            rows.append((store, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}"))
        head = ("a claim, microseconds a job", f"{FEW:,} queued", f"{options.queued:,}", "times")
        table(head, rows)
        memory(stage, options.performed)


def claims_from_redis(stage: Stage, queued: int) -> float:
    stage.clear()
    store = worker(stage).station.redis
    push(stage, queued)
    with stage.redis.client() as client:
        client.set("drq:epoch", "bench")
    store.epoch = "bench"
    return cost_of_a_claim(store)


def push(stage: Stage, count: int) -> None:
    """Jobs of plain rq, put there as fast as Redis takes them: all are copies of one."""
    import django_rq
    from rivals import work

    job = django_rq.get_queue("low").create_job(work.nothing)
    fields = job.to_dict()
    with stage.redis.client() as client:
        for start in range(0, count, 10_000):
            ids = [f"job-{n}" for n in range(start, min(start + 10_000, count))]
            with client.pipeline(transaction=False) as pipeline:
                for job_id in ids:
                    pipeline.hset(f"rq:job:{job_id}", mapping=fields)
                pipeline.rpush("rq:queue:low", *ids)
                pipeline.execute()


def claims_from_database(stage: Stage, queued: int) -> float:
    import django_rq
    from django.db import connection
    from rivals import work

    from django_resilient_queue.jobs import JobSnapshot
    from django_resilient_queue.models import FallbackJob
    from django_resilient_queue.stores.rows import Entry

    stage.clear()
    found = worker(stage)
    job = django_rq.get_queue("low").create_job(work.nothing)
    entry = Entry(JobSnapshot.of(job, queue_name="low"), "ready")
    found.station.table.insert(entry)
    multiply(FallbackJob, queued)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    found.station.watch.look()
    return cost_of_a_claim(found.station.table)


def multiply(model: type[Model], times: int) -> None:
    """Copies the one row of a table, each copy with a job id of its own."""
    from django.db import connection

    meta = model._meta
    names = [field.column for field in meta.concrete_fields if not field.primary_key]
    values = ["'job-' || n" if name == "job_id" else name for name in names]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM {meta.db_table}, generate_series(2, {times}) AS n"
        )


def worker(stage: Stage):
    import django_rq

    from django_resilient_queue.worker import ResilientWorker

    queue = django_rq.get_queue("low")
    return ResilientWorker([queue], connection=queue.connection)


def cost_of_a_claim(store) -> float:
    """The median over many batches, in microseconds a job; the first one opens the connection."""
    from django_resilient_queue.stores.base import Claimant

    costs = []
    for _ in range(1 + BATCHES):
        begun = time.perf_counter()
        claims = store.claim(Claimant("bench", 10), ["low"], BATCH)
        costs.append((time.perf_counter() - begun) / len(claims) * 1e6)
    return statistics.median(costs[1:])


def memory(stage: Stage, performed: int) -> None:
    """PSS of a worker and its horses, over the first and the last tenth of many jobs."""
    stage.clear()
    marks = stage.folder / "marks"
    marks.unlink(missing_ok=True)
    fill_rq("nothing", outbox=False)(stage, performed)
    environment = {**paths(stage), **TWO_HORSES, "DRQ_TEST_RESILIENT_QUEUE": '{"OUTBOX": false}'}
    sizes: list[float] = []
    with running([OURS], environment, stage.folder / "log") as (process,):
        while len(read(marks)) < 3:
            time.sleep(0.25)
            if read(marks):
                sizes.append(sum(pss(pid) for pid in family(process.pid)) / 1024)
    tenth = max(len(sizes) // 10, 1)
    head, tail = mean(sizes[tenth : 2 * tenth]), mean(sizes[-tenth:])
    table(
        (f"MiB (PSS) over {performed:,} jobs", "second tenth", "last tenth", "times"),
        [("ours, two horses", f"{head:.1f}", f"{tail:.1f}", f"{tail / head:.2f}")],
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
