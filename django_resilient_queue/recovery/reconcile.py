"""Reconcile: rows that Redis should hold are compared with what it does hold."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from .. import events
from ..models import FallbackJob
from ..stores.pushes import PushRefused
from ..stores.rows import FIRST_LOOK, name_of
from .pushing import decide, push_rows
from .station import Station
from .sweep import write_letters

BATCH = 500
LONGEST = timedelta(seconds=60)
DEEP_AFTER = 5  # looks after which the list itself is searched for the id
_SOON = timedelta(seconds=0.5)


def reconcile(station: Station) -> int:
    """Look at the rows whose time has come; returns how many there were."""
    now = timezone.now()
    with station.table.statement():
        rows = station.table.rows.on_queues(station.queue_names).dispatched()
        due = list(rows.filter(check_at__lte=now).order_by("check_at")[:BATCH])
    if not due:
        return 0
    looks = station.redis.look(
        [(name_of(row), row.attempt, row.checks >= DEEP_AFTER) for row in due]
    )
    found: dict[str, list[FallbackJob]] = {}
    for row, word in zip(due, looks, strict=True):
        if word not in ("absent", "deleted"):
            station.suspicions.clear((row.job_id, row.generation))
        found.setdefault(word, []).append(row)
    _forget_settled(station, found.get("settled", []))
    write_letters(station, [(row.queue_name, row.job_id) for row in found.get("dead", [])])
    _look_later(station, found.get("known", []), looked_at=now)
    lost = found.get("absent", []) + _not_deleted(station, found.get("deleted", []))
    missing = _surely_missing(station, lost)
    for _, answer in push_rows(station, decide(station, [*found.get("older", []), *missing])):
        if isinstance(answer, PushRefused):
            raise answer
    return len(due)


def _not_deleted(station: Station, rows: list[FallbackJob]) -> list[FallbackJob]:
    """Drop the rows of jobs that somebody deleted, and return the others, which Redis lost.

    Deleted is what Redis, the same and unharmed since, was seen to hold and no longer does.
    """
    deleted = [row for row in rows if row.checks > 0 and not station.evicts]
    _forget_settled(station, deleted)
    for row in deleted:
        events.JOB_CANCELLED.log(job_id=row.job_id, queue=row.queue_name)
    return [row for row in rows if row not in deleted]


def _surely_missing(station: Station, rows: list[FallbackJob]) -> list[FallbackJob]:
    """Choose the rows that are missing for good: still so after every live worker has said, since
    they were first missing, that it does not have the job in hand."""
    if not rows:
        return []
    with station.table.statement():
        station.watch.look()  # what is decided now hangs on the heartbeats as they are now
    sure: list[FallbackJob] = []
    unsure: list[FallbackJob] = []
    for row in rows:
        marked_at = station.suspicions.mark((row.job_id, row.generation))
        gone = station.watch.all_wrote_since(marked_at) and not station.is_held(row.job_id)
        (sure if gone else unsure).append(row)
    for row in sure:
        station.suspicions.clear((row.job_id, row.generation))
    with station.table.statement():
        later = station.table.rows.filter(pk__in=[row.pk for row in unsure]).dispatched()
        later.update(check_at=timezone.now() + _SOON)
    return sure


def _forget_settled(station: Station, rows: list[FallbackJob]) -> None:
    if rows:
        with station.table.statement():
            generations = [row.generation for row in rows]
            settled = station.table.rows.filter(pk__in=[row.pk for row in rows])
            settled.dispatched().filter(generation__in=generations).delete()


def _look_later(station: Station, rows: list[FallbackJob], *, looked_at: datetime) -> None:
    """Plan the next look, unless another worker has found another Redis since and wants one now."""
    by_checks: dict[int, list[int]] = {}
    for row in rows:
        by_checks.setdefault(min(row.checks, 30), []).append(row.pk)
    for checks, pks in by_checks.items():
        wait = min(FIRST_LOOK * 2**checks, LONGEST)
        with station.table.statement():
            seen = station.table.rows.filter(
                pk__in=pks, checks__gte=checks, check_at__lte=looked_at
            )
            seen.dispatched().update(check_at=timezone.now() + wait, checks=checks + 1)
