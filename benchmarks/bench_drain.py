"""How long 50,000 rows take on their way back to Redis.

python benchmarks/bench_drain.py [--rows 50000] [--database postgres|sqlite]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from stage import ROOT, Stage, table

LIMIT = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    options = parser.parse_args()
    with Stage(database=options.database) as stage:
        took = drain(stage, options.rows)
    row = (options.database, f"{options.rows:,}", f"{took:.1f}", f"<= {LIMIT:.0f}")
    table(("database", "rows", "seconds", "target"), [row])


def drain(stage: Stage, rows: int) -> float:
    """Fill the table, start a worker that performs nothing, and wait until it has drained."""
    import django_rq
    from django.conf import settings

    from django_resilient_queue.models import FallbackJob

    stage.redis.kill()
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1}
    queue = django_rq.get_queue("low")
    for start in range(0, rows, 1000):
        datas = [queue.prepare_data(print, (n,)) for n in range(start, min(start + 1000, rows))]
        queue.enqueue_many(datas)
    stage.redis.start()
    # On another queue, so that what is measured is the way back and not the execution.
    worker = subprocess.Popen(
        [sys.executable, "-m", "django", "rqworker", "high", "-v", "0"], cwd=ROOT
    )
    try:
        ready = FallbackJob.objects.ready()
        while ready.count() == rows:
            time.sleep(0.01)
        started = time.perf_counter()
        while ready.exists():
            time.sleep(0.05)
        return time.perf_counter() - started
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
