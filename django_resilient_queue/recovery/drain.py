"""Drain: rows that have no copy in Redis go back to Redis, once."""

from __future__ import annotations

from django.utils import timezone

from ..exceptions import StoreAmbiguous, StoreError, StoreRefused
from ..models import FallbackJob, Outage
from ..models.fallback_job import FallbackJobQuerySet, State
from ..stores.rows import FIRST_LOOK
from .pushing import decide_ready, push_rows
from .station import Station


def drain(station: Station, limit: int) -> int:
    """Push up to *limit* ready rows; returns how many. Raises the StoreError of a lost Redis."""
    pushed, problem = 0, None
    for row, answer in push_rows(station, decide_ready(station, limit)):
        if isinstance(answer, StoreRefused):
            _back_to_ready(station, row)
        elif isinstance(answer, StoreAmbiguous):
            _look_soon(station, row)
        if isinstance(answer, StoreError):
            problem = problem or answer
        elif not isinstance(answer, Exception):
            pushed += 1
    if pushed:
        with station.table.statement():
            outages = Outage.objects.using(station.table.alias)
            outages.add(station.broker.address, drained=pushed)
    if problem is not None and not isinstance(problem.cause, LookupError):
        raise problem
    return pushed


def _back_to_ready(station: Station, row: FallbackJob) -> None:
    """Redis surely did not take it."""
    with station.table.statement():
        _untouched(station, row).update(state=State.READY, redis_copy=False)


def _look_soon(station: Station, row: FallbackJob) -> None:
    """Redis may have taken it: the row stays dispatched, and reconcile asks."""
    with station.table.statement():
        _untouched(station, row).update(check_at=timezone.now() + FIRST_LOOK)


def _untouched(station: Station, row: FallbackJob) -> FallbackJobQuerySet:
    return station.table.rows.filter(pk=row.pk, version=row.version).dispatched()
