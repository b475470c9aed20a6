"""Drain: rows that have no copy in Redis go back to Redis, once."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections
from django.utils import timezone
from django_rq.jobs import get_job_class

from ..conf import settings
from ..exceptions import StoreAmbiguous, StoreError, StoreRefused
from ..meter import Key, Kind
from ..models import FallbackJob, Outage
from ..models.fallback_job import FallbackJobQuerySet, State
from ..stores import measures
from ..stores.base import boottime
from ..stores.brokers import Broker, all_brokers
from ..stores.database import DatabaseStore
from ..stores.polling import ask_each
from ..stores.redis import RedisStore
from ..stores.rows import FIRST_LOOK
from ..stores.watch import Watch
from .pushing import decide_ready, push_rows
from .station import Station


@dataclass
class Drained:
    """What a drain has come to: how many jobs went to Redis, and what kept it from more."""

    count: int = 0
    stopped_by: StoreError | None = None


def drain(station: Station, limit: int, drained: Drained | None = None) -> int:
    """Push up to *limit* ready rows; returns how many, and adds them to *drained* as soon as they
    are pushed. Raises the StoreError of a store that was lost over it."""
    answers = push_rows(station, decide_ready(station, limit))
    pushed = sum(not isinstance(answer, Exception) for _, answer in answers)
    if drained is not None:
        drained.count += pushed
    measures.count(Key(Kind.DRAINED), pushed)
    problem = None
    for row, answer in answers:
        if isinstance(answer, StoreRefused):
            _back_to_ready(station, row)
        elif isinstance(answer, StoreAmbiguous):
            _look_soon(station, row)
        if isinstance(answer, StoreError):
            problem = problem or answer
    if pushed:
        with station.table.statement():
            outages = Outage.objects.using(station.table.alias)
            outages.add(station.broker.address, drained=pushed)
    if problem is not None and not isinstance(problem.cause, LookupError):
        raise problem
    return pushed


def drain_now(seconds: float = 1.0) -> Drained:
    """Push ready rows to each Redis that answers, for so many seconds at most.

    Workers do this by themselves while they use Redis. Whoever does it besides takes other rows, as
    each is decided for by a guarded update; who dies over it leaves rows that reconcile looks for.
    Raises StoreRefused or StoreAmbiguous when the database is away, or a Redis is, and nothing was
    pushed to any; RuntimeError inside a transaction: what is pushed has to be marked first.
    """
    if connections[settings.DATABASE].in_atomic_block:
        raise RuntimeError("drain_now works outside of transactions")
    until, drained = boottime() + seconds, Drained()
    for broker, absence in ask_each(all_brokers(), _greet):
        if absence is not None:
            drained.stopped_by = drained.stopped_by or absence
            continue
        try:
            station = _station_of(broker)
            while boottime() < until and drain(station, settings.DRAIN_BATCH, drained):
                pass
        except StoreError as error:
            drained.stopped_by = drained.stopped_by or error
            if error.store == "database":
                break
    if drained.stopped_by is not None and not drained.count:
        raise drained.stopped_by
    return drained


def _greet(broker: Broker) -> None:
    broker.probe()
    broker.greet()


def _station_of(broker: Broker) -> Station:
    """Somebody's who is no worker: has nothing in hand, and watches nobody."""
    table, store = DatabaseStore(), RedisStore(broker.link)
    store.epoch = broker.epoch
    watch = Watch(table.alias, broker.address, "", lambda: settings.LEASE)
    return Station("", broker, store, table, watch, get_job_class(None), tuple)


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
