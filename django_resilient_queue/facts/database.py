"""What the tables know of jobs and workers, by one statement each, whatever their size."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import DateTimeField, Min
from django.utils import timezone

from ..models import BrokerState, FallbackJob, WorkerHeartbeat
from ..models.fallback_job import State
from ..models.tally import COUNTED
from .values import QueueCounts, WorkerFacts

MOST_ROWS = 10_000  # of each kind below; a count that reaches this says "at least"
MOST_WORKERS = 5000
_LONGEST_QUEUES = 500  # characters of a worker's column, which cuts what is longer
# As the conditions of the table's indexes have them.
_KINDS = ((State.DISPATCHED,), (State.READY,), (State.CLAIMED, State.FINISHED))


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Jobs by queue: ``own``, of which Redis surely has no copy, or which are executed from here,
    and ``shared``, which Redis has or may have. ``rows`` are all by state, and ``is_capped`` when
    there may be more than were counted: then the oldest ones were.

    ``look_due`` is when the row that waits the longest to be compared with Redis was due for that;
    ``counts`` sums what workers have counted since the tables were made.
    """

    own: Mapping[str, QueueCounts]
    shared: Mapping[str, QueueCounts]
    rows: Mapping[str, int]
    is_capped: bool
    look_due: datetime | None
    workers: Sequence[WorkerFacts]
    reconcilers: Mapping[str, str]  # by the address of their Redis
    counts: Mapping[str, int]

    @property
    def oldest(self) -> datetime | None:
        """Since when the job that waits the longest in this store alone could have run."""
        return min((each.oldest for each in self.own.values() if each.oldest), default=None)


class _Line(NamedTuple):
    """Rows of one queue and state: how many, and how many of those wait for a job or their time."""

    queue_name: str
    state: str
    total: int
    deferred: int
    scheduled: int
    oldest: datetime | None
    look_due: datetime | None


def database_facts(alias: str, most: int | None = None) -> DatabaseFacts:
    """Ask once, counting no more than *most* rows of a kind, by default MOST_ROWS.

    Raises what the database raises: wrap it into ``database_errors``.
    """
    most = most or MOST_ROWS
    lines = _lines(alias, timezone.now(), most)
    ready = [line for line in lines if line.state in (State.READY, State.CLAIMED)]
    dispatched = [line for line in lines if line.state == State.DISPATCHED]
    rows: Counter[str] = Counter({state.value: 0 for state in State})
    for line in lines:
        rows[line.state] += line.total
    states = list(BrokerState.objects.using(alias).values("name", "reconciler", *COUNTED))
    workers = list(
        WorkerHeartbeat.objects.using(alias).values(
            "name", "broker", "mode", "beat", "queues", "seen_at", "hostname", *COUNTED
        )[:MOST_WORKERS]
    )
    return DatabaseFacts(
        _by_queue(ready),
        _by_queue(dispatched),
        rows,
        any(sum(rows[state] for state in kind) >= most for kind in _kinds(alias)),
        min((line.look_due for line in dispatched if line.look_due), default=None),
        [_worker(row) for row in workers],
        {row["name"]: row["reconciler"] for row in states},
        {each: sum(row[each] for row in (*states, *workers)) for each in COUNTED},
    )


def _lines(alias: str, now: datetime, most: int) -> list[_Line]:
    """Group the rows; of each kind the database is to read no more than so many."""
    connection = connections[alias]
    table = connection.ops.quote_name(FallbackJob._meta.db_table)
    some = " UNION ALL ".join(_some_of(table, kind, most) for kind in _kinds(alias))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT queue_name, state, COUNT(*),"  # noqa: S608 - of names alone
            " SUM(CASE WHEN waits_for <> '' THEN 1 ELSE 0 END),"
            " SUM(CASE WHEN waits_for = '' AND due_at > %s THEN 1 ELSE 0 END),"
            " MIN(CASE WHEN waits_for = '' AND due_at <= %s THEN due_at END), MIN(check_at)"
            f" FROM ({some}) AS job GROUP BY queue_name, state",
            [connection.ops.adapt_datetimefield_value(now)] * 2,
        )
        return [_line(connection, *row) for row in cursor.fetchall()]


def _kinds(alias: str) -> Sequence[Sequence[State]]:
    """Without partial indexes there is none that finds rows by state: then all are one kind."""
    return _KINDS if connections[alias].features.supports_partial_indexes else (tuple(State),)


def _some_of(table: str, kind: Sequence[State], most: int) -> str:
    columns = "queue_name, state, waits_for, due_at, check_at"
    which = ", ".join(f"'{state.value}'" for state in kind)
    # SQLite takes an index only for its condition, word for word.
    condition = f"state = {which}" if len(kind) == 1 else f"state IN ({which})"
    where = f"WHERE {condition}" if len(kind) < len(State) else "ORDER BY id"
    return (
        f"SELECT * FROM (SELECT {columns} FROM {table} {where} LIMIT {most})"  # noqa: S608
        f" AS some_{kind[0].value}"
    )


def _line(
    connection: Any,
    queue_name: str,
    state: str,
    total: int,
    deferred: int,
    scheduled: int,
    *moments: Any,
) -> _Line:
    expression = Min("due_at", output_field=DateTimeField())
    oldest, look_due = moments
    for convert in connection.ops.get_db_converters(expression):
        oldest = convert(oldest, expression, connection)
        look_due = convert(look_due, expression, connection)
    # Sums are decimals on MariaDB.
    return _Line(queue_name, state, total, int(deferred), int(scheduled), oldest, look_due)


def _by_queue(lines: Sequence[_Line]) -> dict[str, QueueCounts]:
    found: dict[str, QueueCounts] = defaultdict(QueueCounts)
    for line in lines:
        before = found[line.queue_name]
        if line.state == State.CLAIMED:
            found[line.queue_name] = replace(before, active=line.total)
        else:
            found[line.queue_name] = replace(
                before,
                waiting=line.total - line.deferred - line.scheduled,
                scheduled=line.scheduled,
                deferred=line.deferred,
                oldest=line.oldest,
            )
    return dict(found)


def _worker(row: dict[str, Any]) -> WorkerFacts:
    whole = len(row["queues"]) < _LONGEST_QUEUES
    return WorkerFacts(
        row["name"],
        row["broker"],
        row["mode"],
        frozenset(row["queues"].split(",")) if whole else None,
        row["seen_at"],
        row["hostname"],
        row["beat"],
    )
