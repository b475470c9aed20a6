"""Applies every fault of the table to real servers under load, and says what it cost.

    python benchmarks/faults.py --database postgres
    python benchmarks/faults.py --row killed frozen --keep

A thousand numbered jobs are enqueued at 50 a second with plain django-rq from 32 threads; two
`manage.py rqworker` execute them. What was executed stands in a file that no store can lose.
The exit code is 1 when a row is worse than its targets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # not this folder, whose names would hide others

from benchmarks.harness.databases import Database, open_database  # noqa: E402
from benchmarks.harness.figures import Figures, measure  # noqa: E402
from benchmarks.harness.rows import Row, rows  # noqa: E402
from benchmarks.harness.stage import Stage  # noqa: E402
from django_resilient_queue.stores.links import script  # noqa: E402

COLUMNS = (
    f"{'row':31} {'refused':>7} {'lost':>4} {'dbl':>3} {'whole':>5} {'gap':>6}"
    f" {'p50':>6} {'p99':>6} {'max':>6} {'p99 f':>6} {'max f':>6} {'run f':>5}"
    f" {'drain':>6} {'exits':>5} {'dead':>4}"
)


def main() -> int:
    table = rows(push=script("push").sha.encode(), pop=script("claim").sha.encode())
    arguments = parse(table)
    directory = Path(tempfile.mkdtemp(prefix="drq-faults-"))
    database = open_database(arguments.database, directory)
    try:
        print(f"{arguments.database}: {arguments.jobs} jobs at {arguments.rate:g} a second")
        print(COLUMNS)
        results = {
            name: attempt(name, table[name], database, directory, arguments)
            for name in arguments.row or table
            if table[name].only in ("", arguments.database)
        }
    finally:
        database.close()
        if arguments.keep:
            print(f"logs and ledgers: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if arguments.json:
        dumped = {name: figures.dump() if figures else None for name, figures in results.items()}
        Path(arguments.json).write_text(json.dumps(dumped, indent=1))
    return int(any(figures is None or figures.problems for figures in results.values()))


def parse(table: dict[str, Row]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--row", nargs="+", choices=table, metavar="NAME", help=", ".join(table))
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50.0, help="jobs a second")
    parser.add_argument("--json", help="where to write the figures")
    parser.add_argument("--keep", action="store_true", help="keep logs and ledgers")
    return parser.parse_args()


def attempt(
    name: str, row: Row, database: Database, directory: Path, arguments: argparse.Namespace
) -> Figures | None:
    """None for a row that could not be brought to its end."""
    try:
        figures = run(name, row, database, directory, arguments)
    except TimeoutError as error:
        print(f"{row.title:31} FAIL: {error}", flush=True)
        return None
    print(line(row, figures), flush=True)
    return figures


def run(
    name: str, row: Row, database: Database, directory: Path, arguments: argparse.Namespace
) -> Figures:
    stage = Stage(
        f"{name}-{int(time.time())}",
        directory,
        database,
        work=row.work,
        options=row.options,
        is_proxied=row.is_proxied,
        is_watched=row.is_watched,
    )
    try:
        stage.open(cold=row.is_cold)
        stage.produce(arguments.jobs, arguments.rate)
        row.apply(stage)
        stage.finish()
        return measure(stage, row)
    finally:
        stage.close()


def line(row: Row, figures: Figures) -> str:
    overall, fault = figures.overall, figures.in_fault
    words = (
        f"{row.title:31} {figures.refused:7} {len(figures.lost):4} {len(figures.doubled):3}"
        f" {len(figures.doubled_whole):5} {figures.gap:6.2f}"
        f" {overall.p50:6.1f} {overall.p99:6.1f} {overall.slowest:6.1f}"
        f" {fault.p99:6.1f} {fault.slowest:6.1f} {figures.executed:5.0%}"
        f" {figures.drained:6.2f} {len(figures.exits):5} {figures.letters:4}"
    )
    return f"{words}  {'FAIL: ' + '; '.join(figures.problems) if figures.problems else 'PASS'}"


if __name__ == "__main__":
    sys.exit(main())
