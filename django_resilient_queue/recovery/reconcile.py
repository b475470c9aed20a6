"""Reconcile: rows that Redis should hold are compared with what it does hold."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from ..jobs import JobSnapshot
from ..models import FallbackJob
from ..models.fallback_job import FallbackJobQuerySet
from .homecoming import decide, push_row
from .station import Station
from .sweep import write_letters

BATCH = 500
FIRST, LONGEST = 2.0, 60.0
DEEP_AFTER = 5  # looks after which the list itself is searched for the id
_SOON = timedelta(seconds=0.5)


def reconcile(station: Station) -> int:
    """Look at the rows whose time has come; returns how many there were."""
    with station.table.statement():
        rows = station.table.rows.on_queues(station.queue_names).dispatched()
        due = list(rows.filter(check_at__lte=timezone.now()).order_by("check_at")[:BATCH])
    if not due:
        return 0
    looks = station.redis.look([(_name(row), row.attempt, row.checks >= DEEP_AFTER) for row in due])
    found: dict[str, list[FallbackJob]] = {}
    for row, word in zip(due, looks, strict=True):
        if word != "absent":
            station.suspicions.clear((row.job_id, row.generation))
        found.setdefault(word, []).append(row)
    _forget_settled(station, found.get("settled", []))
    write_letters(station, [(row.queue_name, row.job_id) for row in found.get("dead", [])])
    _look_later(station, found.get("known", []))
    for row in found.get("older", []):
        if decide(station, row):
            push_row(station, row)
    if "absent" in found:
        with station.table.statement():
            station.watch.look()  # what is decided now hangs on the heartbeats as they are now
    for row in found.get("absent", []):
        _consider_missing(station, row)
    return len(due)


def _consider_missing(station: Station, row: FallbackJob) -> None:
    """Push a row again when it is missing for good: still so after every live worker has said,
    since it was first missing, that it does not have the job in hand."""
    marked_at = station.suspicions.mark((row.job_id, row.generation))
    sure = station.watch.all_wrote_since(marked_at) and station.suspicions.clock() > marked_at
    if not sure or station.is_held(row.job_id):
        with station.table.statement():
            _row(station, row).update(check_at=timezone.now() + _SOON)
        return
    station.suspicions.clear((row.job_id, row.generation))
    if decide(station, row):
        push_row(station, row)


def _forget_settled(station: Station, rows: list[FallbackJob]) -> None:
    if rows:
        with station.table.statement():
            generations = [row.generation for row in rows]
            settled = station.table.rows.filter(pk__in=[row.pk for row in rows])
            settled.dispatched().filter(generation__in=generations).delete()


def _look_later(station: Station, rows: list[FallbackJob]) -> None:
    by_checks: dict[int, list[int]] = {}
    for row in rows:
        by_checks.setdefault(min(row.checks, 30), []).append(row.pk)
    for checks, pks in by_checks.items():
        wait = timedelta(seconds=min(FIRST * 2**checks, LONGEST))
        with station.table.statement():
            rows_ = station.table.rows.filter(pk__in=pks).dispatched()
            rows_.update(check_at=timezone.now() + wait, checks=checks + 1)


def _row(station: Station, row: FallbackJob) -> FallbackJobQuerySet:
    return station.table.rows.filter(pk=row.pk, version=row.version).dispatched()


def _name(row: FallbackJob) -> JobSnapshot:
    return JobSnapshot(row.job_id, row.queue_name, row.generation, {})
