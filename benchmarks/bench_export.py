"""data:export: what memory a work horse takes at most, and how long an export lasts, by format.

python benchmarks/bench_export.py [--rows N] [--database sqlite|postgres] [--formats csv,json]

Memory is that of the horse: PSS counts a page that it shares with its worker in parts, RSS whole.
Rows of nine columns; a worker of its own for each format. A pdf is capped by its setting.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from bench_idle import pss
from bench_worker import MANAGE, paths, running
from stage import Stage, table

T = TypeVar("T")

WORKER = [*MANAGE, "rqworker", "default", "-v", "0"]
BATCH = 5000
LIMIT = 600.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--formats", default="csv,json,xlsx,pdf")
    options = parser.parse_args()
    with Stage(database=options.database) as stage:
        fill(options.rows)
        found = [measure(stage, name) for name in options.formats.split(",")]
        head = ("format", "rows", "file, MB", "seconds", "PSS, MiB", "RSS before", "peak", "more")
        table(head, found)


def fill(rows: int) -> None:
    from tests.postoffice.models import Parcel

    for begin in range(0, rows, BATCH):
        Parcel.objects.bulk_create(parcel(n) for n in range(begin, min(begin + BATCH, rows)))


def parcel(n: int) -> object:
    from tests.postoffice.models import Parcel

    return Parcel(
        code=f"DE-{n:012}",
        note=f"to be left with the neighbour at number {n % 90}",
        weight=Decimal(n % 20_000) / 1000,
        pieces=n % 7,
        size=n / 3,
        is_fragile=n % 5 == 0,
        posted_on=date(2030, 1, 1 + n % 28),
        seen_at=datetime(2030, 1, 1 + n % 28, n % 24, n % 60, tzinfo=UTC),
        stamps=[n % 3, "EUR"],
    )


def measure(stage: Stage, name: str) -> list[str]:
    """Export all rows once."""
    from django.contrib.auth.models import User

    from django_resilient_queue import get_job, request_export
    from django_resilient_queue.models import Export, WorkerHeartbeat

    stage.clear()
    WorkerHeartbeat.objects.all().delete()
    user = User.objects.get_or_create(username="root", is_superuser=True)[0]
    environment = {**paths(stage), "DRQ_TEST_MEDIA": str(stage.folder / "media")}
    with running([WORKER], environment, stage.folder / "log") as (worker,):
        until(WorkerHeartbeat.objects.filter(mode="redis").exists)
        (horse,) = until(lambda: children(worker.pid))
        before = kibibytes(horse, "VmRSS")
        begun = time.monotonic()
        job = request_export(user, "parcels", file_format=name)
        own = [pss(horse)]

        def is_over() -> bool:
            own.append(pss(horse))
            found = get_job(job.id)
            return found is not None and found.state in ("completed", "dead")

        until(is_over)
        seconds = time.monotonic() - begun
        peak = kibibytes(horse, "VmHWM")
    made = Export.objects.get(job_id=job.id)
    size = f"{made.size / 1e6:.1f}"
    memory = [f"{each / 1024:.1f}" for each in (max(own), before, peak, peak - before)]
    return [name, str(made.rows), size, f"{seconds:.1f}", *memory]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def kibibytes(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def until(condition: Callable[[], T]) -> T:
    deadline = time.monotonic() + LIMIT
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.05)
    return answer


if __name__ == "__main__":
    main()
