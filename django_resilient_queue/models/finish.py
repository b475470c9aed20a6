"""Ending many claimed rows at once: the one statement that Django's ORM can't make fast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.utils import CursorWrapper


class Finish(NamedTuple):
    """The end of one row, which is found by the first three."""

    job_id: str
    generation: str
    claim_token: str
    outcome: bytes
    check_at: datetime


_CHANGES = "state = 'finished', claimed_by = '', claim_token = ''"


def finish_all(alias: str, table: str, ends: Sequence[Finish]) -> int:
    """End the rows of *table* that are still claimed as the ends say; returns how many were."""
    connection = connections[alias]
    name = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _update_at_once(cursor, name, ends)
        else:
            _update_each(cursor, name, ends)
        return int(cursor.rowcount)


def _update_at_once(cursor: CursorWrapper, table: str, ends: Sequence[Finish]) -> None:
    """Takes a third of the time of as many statements sent together.

    The token alone says that the row is claimed: whoever moves a row on replaces it. Asked for the
    state, PostgreSQL would read the index of claimed rows, in which dead ones pile up.
    """
    columns = [list(column) for column in zip(*ends, strict=True)]
    cursor.execute(
        f"UPDATE {table} AS job"  # noqa: S608 - of names alone
        f" SET {_CHANGES}, outcome = ended.outcome, check_at = ended.check_at"
        " FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::timestamptz[])"
        f" AS ended ({', '.join(Finish._fields)})"
        " WHERE job.job_id = ended.job_id AND job.generation = ended.generation"
        " AND job.claim_token = ended.claim_token",
        columns,
    )


def _update_each(cursor: CursorWrapper, table: str, ends: Sequence[Finish]) -> None:
    adapt = cursor.db.ops.adapt_datetimefield_value
    rows: list[list[Any]] = [
        [end.outcome, adapt(end.check_at), end.job_id, end.generation, end.claim_token]
        for end in ends
    ]
    cursor.executemany(
        f"UPDATE {table} SET {_CHANGES}, outcome = %s, check_at = %s"  # noqa: S608 - as above
        " WHERE job_id = %s AND generation = %s AND claim_token = %s AND state = 'claimed'",
        rows,
    )
