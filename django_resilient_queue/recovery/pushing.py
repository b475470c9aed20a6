"""Pushing rows to Redis: decided in the table first, so that every older push is refused."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone
from rq.job import JobStatus

from ..conf import settings
from ..exceptions import StoreError, StoreRefused, UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import FallbackJob
from ..models.fallback_job import State
from ..stores.pushes import BACK, FRONT, Push
from ..stores.rows import FIRST_LOOK
from .station import Station

# What a push needs of a row: less to read where tens of thousands wait.
NEEDED = (
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
    "created_at",
)

# When reconcile first looks at a row that was drained: the answer to its push says where it is.
_AFTER_DRAIN = timedelta(seconds=15)

Pushed = list[tuple[FallbackJob, Any]]


def decide(station: Station, rows: Sequence[FallbackJob]) -> list[FallbackJob]:
    """Raise the versions of dispatched rows; returns those that nobody moved on meanwhile."""
    table, token = station.table, secrets.token_hex(16)
    versions: dict[int, list[int]] = {}
    for row in rows:
        versions.setdefault(row.version, []).append(row.pk)
    with table.transaction():
        for version, pks in versions.items():
            table.rows.filter(pk__in=pks, version=version).dispatched().update(
                version=F("version") + 1,
                claim_token=token,
                redis_copy=True,
                stale_copy=False,
                check_at=timezone.now() + FIRST_LOOK,
                checks=0,
            )
        won = table.rows.filter(pk__in=[row.pk for row in rows], claim_token=token)
        return list(won.dispatched().in_claim_order().only(*NEEDED))


def decide_ready(station: Station, limit: int) -> list[FallbackJob]:
    """Mark ready rows dispatched and raise their versions, before anything is pushed."""
    table, token = station.table, secrets.token_hex(16)
    with table.transaction():
        ready = table.rows.ready().in_claim_order().only(*NEEDED)
        rows: list[FallbackJob] = []
        for name in sorted(station.queue_names, key=settings.priority_for, reverse=True):
            rows += ready.on_queues([name])[: limit - len(rows)]
            if len(rows) == limit:
                break
        pks = [row.pk for row in rows]
        won = table.rows.dispatch(pks, token=token, look_at=timezone.now() + _AFTER_DRAIN)
        if won < len(rows):  # another worker was faster with some of them
            mine = table.rows.filter(pk__in=pks, claim_token=token).dispatched()
            kept = set(mine.values_list("pk", flat=True))
            rows = [row for row in rows if row.pk in kept]
    for row in rows:
        row.version += 1
    return rows


def push_rows(station: Station, rows: Sequence[FallbackJob]) -> Pushed:
    """Push decided rows; an Answer or an error for each, nothing for those that can't be read."""
    # All are read before one is pushed: a database that is lost over it hides no push.
    pushes = [(row, push) for row in rows if (push := _readable(station, row))]
    plain = [(row, push) for row, push in pushes if not _needs_rq(row)]
    # Jobs that wait for others go last: what they wait for is then in Redis as well.
    by_rq = [(row, push) for row, push in pushes if _needs_rq(row)]
    done = _push_plain(station, plain)
    return [*done, *((row, _answer_of_rq(station, push)) for row, push in by_rq)]


def push_of(row: FallbackJob, snapshot: JobSnapshot) -> Push:
    """Make the push of a row, to where its job belongs now."""
    if row.due_at > timezone.now():
        later = _with_status(snapshot, JobStatus.SCHEDULED)
        return Push(later, row.version, row.attempt, str(int(row.due_at.timestamp())))
    now = _with_status(snapshot, JobStatus.QUEUED)
    return Push(now, row.version, row.attempt, FRONT if row.at_front else BACK)


def _push_plain(station: Station, pushes: Sequence[tuple[FallbackJob, Push]]) -> Pushed:
    try:
        answers = station.push([push for _, push in pushes])
    except StoreError as error:
        answers = [error] * len(pushes)
    return [(row, answer) for (row, _), answer in zip(pushes, answers, strict=True)]


def _answer_of_rq(station: Station, push: Push) -> Any:
    try:
        if _waits_for_a_row(station, push.snapshot):
            return StoreRefused(LookupError("what the job waits for is not in Redis yet"))
        return station.push_by_rq(push.snapshot, push)
    except StoreError as error:
        return error


def _needs_rq(row: FallbackJob) -> bool:
    return bool(row.waits_for or row.rate_limit_key)


def _waits_for_a_row(station: Station, snapshot: JobSnapshot) -> bool:
    """Tell whether a job that this one waits for is not in Redis yet: rq would take it for done."""
    if not snapshot.dependency_ids:
        return False
    with station.table.statement():
        here = station.table.rows.filter(job_id__in=snapshot.dependency_ids)
        states = dict(here.values_list("job_id", "state"))
    if any(state != State.DISPATCHED for state in states.values()):
        return True
    # Decided to be pushed, perhaps in this very batch, or lost by Redis.
    keys = [station.redis.keys.job_prefix + job_id for job_id in states]
    return bool(keys) and int(station.redis.link.call("EXISTS", *keys)) < len(keys)


def _readable(station: Station, row: FallbackJob) -> Push | None:
    try:
        snapshot = JobSnapshot.load(bytes(row.payload))
    except UndecodableSnapshot as error:
        with station.table.transaction():
            station.table.ends.bury(row, error)
        return None
    if snapshot.number("ttl"):
        with station.table.transaction():
            if station.table.ends.has_expired(row, snapshot):
                return None
    return push_of(row, snapshot)


def _with_status(snapshot: JobSnapshot, status: JobStatus) -> JobSnapshot:
    raw = str.encode(status)
    return snapshot if snapshot.fields.get("status") == raw else snapshot.changed({"status": raw})
