"""`manage.py queue_status`: how things stand with the queue, from a shell.

Exit codes with ``--exit-code``: 0 healthy, 1 degraded, 2 critical, 3 down.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder

from django_resilient_queue.health import HealthReport, Status, collect
from django_resilient_queue.health.report import OutageHealth

_STYLES = {
    Status.HEALTHY: "SUCCESS",
    Status.DEGRADED: "WARNING",
    Status.CRITICAL: "ERROR",
    Status.DOWN: "ERROR",
}
_QUEUES = ("queue", "waiting", "oldest", "active", "scheduled", "deferred", "failed", "workers")
_MOST_WORKERS = 50  # lines; of more, the rest is a number


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Command(BaseCommand):
    """Show health, stores, queues, workers and outages."""

    help = "Show health, stores, queues, workers and outages."
    # The answer is about a system that may be down: no check may ask the database first.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the form of the answer."""
        parser.add_argument("--json", action="store_true", help="one JSON object a report")
        parser.add_argument(
            "--exit-code", action="store_true", help="0 healthy, 1 degraded, 2 critical, 3 down"
        )
        parser.add_argument(
            "--watch", type=_seconds, metavar="SECONDS", help="report again and again until Ctrl-C"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Report once, or until somebody has seen enough."""
        report = self._report(options)
        try:
            while options["watch"]:
                time.sleep(options["watch"])
                report = self._report(options)
        except KeyboardInterrupt:
            pass  # how one leaves --watch
        if options["exit_code"]:
            sys.exit(report.status.rank)

    def _report(self, options: dict[str, Any]) -> HealthReport:
        report = collect()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), cls=DjangoJSONEncoder))
            return report
        if options["watch"] and self.stdout.isatty():
            self.stdout.write("\x1b[2J\x1b[H", ending="")  # on a clear screen, from its top
        self._head(report)
        for table in _tables(report):
            if table.rows:
                self._table(table)
        return report

    def _head(self, report: HealthReport) -> None:
        style = getattr(self.style, _STYLES[report.status])
        self.stdout.write(f"{style(report.status.value)}  {report.checked_at:%Y-%m-%d %H:%M:%S %Z}")
        for reason in report.reasons:
            self.stdout.write(f"  {reason.message} ({reason.code})")

    def _table(self, table: _Table) -> None:
        try:
            from rich import box
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            self._plain(table)
            return
        shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in table.columns:
            shown.add_column(column)
        for row in table.rows:
            shown.add_row(*row)
        seen = self.stdout.isatty()
        console = Console(
            file=cast("IO[str]", self.stdout),
            force_terminal=seen,
            markup=False,
            width=None if seen else 200,
        )
        console.print(shown)

    def _plain(self, table: _Table) -> None:
        lines = [table.columns, *table.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        self.stdout.write(f"\n{table.title}")
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write(f"  {'  '.join(cells)}".rstrip())


def _tables(report: HealthReport) -> Iterator[_Table]:
    yield _Table("Stores", ("store", "status", "latency", "circuit", "cause"), _stores(report))
    yield _Table("Queues", _QUEUES, _queues(report))
    yield _Table("Workers", ("worker", "takes from", "queues", "last seen"), _workers(report))
    yield _Table("More", ("", ""), list(_more(report)))


def _stores(report: HealthReport) -> list[list[str]]:
    known = [(each.address, each.as_json()) for each in report.brokers]
    lines = [("database", report.database.as_json()), *known]
    return [
        [name, each["status"], _latency(each), each.get("circuit", ""), each["cause"]]
        for name, each in lines
    ]


def _latency(store: dict[str, Any]) -> str:
    return "-" if store["latency_ms"] is None else f"{store['latency_ms']:.1f} ms"


def _queues(report: HealthReport) -> list[list[str]]:
    lines = []
    for queue in report.queues:
        both = [each for each in (queue.redis, queue.database) if each is not None]
        sums = [
            str(sum(getattr(each, name) for each in both)) if both else "?"
            for name in ("active", "scheduled", "deferred", "failed")
        ]
        workers = "?" if queue.workers is None else str(queue.workers)
        name = f"{queue.name} (paused)" if queue.is_paused else queue.name
        age = _age(report.age(queue.oldest))
        lines.append([name, str(queue.waiting) if both else "?", age, *sums, workers])
    return lines


def _workers(report: HealthReport) -> list[list[str]]:
    workers = sorted(report.workers or (), key=lambda worker: worker.name)
    lines = [
        [
            worker.name,
            str(worker.mode) or "redis (not ours)",
            "?" if worker.queues is None else ", ".join(sorted(worker.queues)),
            f"{_age(report.age(worker.seen_at))} ago",
        ]
        for worker in workers[:_MOST_WORKERS]
    ]
    if len(workers) > _MOST_WORKERS:
        lines.append([f"and {len(workers) - _MOST_WORKERS} more", "", "", ""])
    return lines


def _more(report: HealthReport) -> Iterator[list[str]]:
    if report.rows is not None:
        least = "at least " if report.rows_are_capped else ""
        words = ", ".join(f"{count} {state}" for state, count in report.rows.items())
        yield ["rows", least + words]
    if report.dead_letters is not None:
        oldest = report.dead_letters["oldest"]
        age = f", the oldest of {oldest['days']} days" if oldest else ""
        yield ["dead letters", f"{report.dead_letters['total']}{age}"]
    if report.counts is not None:
        yield ["since ever", ", ".join(f"{n} {name[5:]}" for name, n in report.counts.items())]
    if report.unprotected:
        yield ["without a row", str(report.unprotected)]
    if report.last_outage is not None:
        yield ["last outage", _outage(report.last_outage)]


def _outage(outage: OutageHealth) -> str:
    until = f"{outage.ended_at:%H:%M:%S}" if outage.ended_at else "now"
    return (
        f"{outage.broker} from {outage.started_at:%Y-%m-%d %H:%M:%S} to {until}:"
        f" {outage.jobs_executed} executed, {outage.jobs_drained} drained; {outage.cause}"
    )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds
