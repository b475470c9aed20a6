"""Drain: rows that have no copy in Redis go back to Redis, once."""

from __future__ import annotations

import secrets
from typing import Any

from ..exceptions import StoreError, StoreRefused, UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import FallbackJob, Outage
from ..models.fallback_job import State
from ..stores.redis import Push
from .homecoming import push_of
from .station import Station

# What a push needs of a row: less to read where tens of thousands wait.
_NEEDED = (
    "job_id",
    "queue_name",
    "generation",
    "payload",
    "version",
    "attempt",
    "due_at",
    "at_front",
    "waits_for",
    "rate_limit_key",
)


def drain(station: Station, limit: int) -> int:
    """Push up to *limit* ready rows; returns how many. Marked dispatched before they are pushed."""
    rows = _decide(station, limit)
    pushed = 0
    # Jobs that wait for others go last: what they wait for is then in Redis as well.
    plain = [row for row in rows if not (row.waits_for or row.rate_limit_key)]
    for row, answer in [*_push(station, plain), *_push_by_rq(station, rows)]:
        if isinstance(answer, StoreRefused):
            _back_to_ready(station, row)
        elif not isinstance(answer, Exception):
            pushed += 1
    if pushed:
        with station.table.statement():
            outages = Outage.objects.using(station.table.alias)
            outages.add(station.broker.address, drained=pushed)
    return pushed


def _decide(station: Station, limit: int) -> list[FallbackJob]:
    table, token = station.table, secrets.token_hex(16)
    with table.transaction():
        ready = table.rows.on_queues(station.queue_names).ready().in_claim_order()
        pks = list(ready.values_list("pk", flat=True)[:limit])
        if not pks or not table.rows.dispatch(pks, token=token):
            return []
        decided = table.rows.filter(pk__in=pks, state=State.DISPATCHED, claim_token=token)
        return list(decided.in_claim_order().only(*_NEEDED))


def _push(station: Station, rows: list[FallbackJob]) -> list[tuple[FallbackJob, Any]]:
    readable = [(row, push) for row in rows if (push := _readable(station, row))]
    try:
        answers = station.push([push for _, push in readable])
    except StoreError as error:
        answers = [error] * len(readable)
    return [(row, answer) for (row, _), answer in zip(readable, answers, strict=True)]


def _push_by_rq(station: Station, rows: list[FallbackJob]) -> list[tuple[FallbackJob, Any]]:
    done: list[tuple[FallbackJob, Any]] = []
    for row in rows:
        if not (row.waits_for or row.rate_limit_key):
            continue
        if _waits_for_a_row(station, row):
            done.append((row, StoreRefused(LookupError("its dependency is not in Redis yet"))))
            continue
        push = _readable(station, row)
        if push is not None:
            try:
                done.append((row, station.push_by_rq(push.snapshot, push)))
            except StoreError as error:
                done.append((row, error))
    return done


def _waits_for_a_row(station: Station, row: FallbackJob) -> bool:
    """Tell whether a job that this one waits for is still only here: rq would take it for done."""
    try:
        needed = JobSnapshot.load(bytes(row.payload)).dependency_ids
    except UndecodableSnapshot:
        return False
    with station.table.statement():
        here = station.table.rows.filter(job_id__in=needed).exclude(state=State.DISPATCHED)
        return here.exists()


def _readable(station: Station, row: FallbackJob) -> Push | None:
    try:
        return push_of(row, JobSnapshot.load(bytes(row.payload)))
    except UndecodableSnapshot as error:
        with station.table.transaction():
            station.table.bury(row, error)
        return None


def _back_to_ready(station: Station, row: FallbackJob) -> None:
    with station.table.statement():
        untouched = station.table.rows.filter(pk=row.pk, version=row.version)
        untouched.dispatched().update(state=State.READY, redis_copy=False)
