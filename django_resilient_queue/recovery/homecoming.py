"""The way back to Redis: what a worker does before its first claim there.

Its heartbeat says mode redis, committed under the lock, before Redis hears anything: from then on
no other worker takes a dispatched row.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from django.utils import timezone

from ..conf import settings
from ..exceptions import UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import BrokerState, FallbackJob
from ..models.fallback_job import FallbackJobQuerySet
from ..outcomes import Settlement
from ..stores.base import Claim, Verdict
from ..stores.keys import our_key
from ..stores.rows import name_of
from .pushing import decide, push_rows
from .station import Station

BATCH = 500


def learn_epoch(station: Station) -> tuple[str, str]:
    """Return Redis's epoch and run id, beginning an epoch where there is none."""
    link = station.redis.link
    link.call("SET", our_key("epoch"), secrets.token_hex(8), "NX")
    answers = link.call_all([("GET", our_key("epoch")), ("INFO",), ("TIME",)])
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    epoch, info, clock = answers
    station.broker.set_clock(float(clock[0]))
    lines = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    station.evicts = lines.get("maxmemory_policy", "noeviction") != "noeviction"
    return epoch.decode(), lines.get("run_id", "")


def note_epoch(station: Station, epoch: str, run_id: str) -> bool:
    """Have every row looked at when Redis is not the one last reconciled; True if it is not.

    The epoch is remembered in the transaction that asks for the looks, so neither goes without
    the other.
    """
    states = BrokerState.objects.using(station.table.alias)
    name = station.broker.address
    with station.table.transaction():
        states.lock(name)
        if states.filter(name=name, epoch=epoch, run_id=run_id).exists():
            return False
        rows = station.table.rows.on_queues(station.queue_names).dispatched()
        rows.update(check_at=timezone.now(), checks=0)
        states.filter(name=name).update(epoch=epoch, run_id=run_id)
    return True


def tell_redis(station: Station) -> None:
    """Tell Redis what the database did with jobs of which it may hold a copy, all of it."""
    rows = station.table.rows.on_queues(station.queue_names)
    for batch in _in_batches(station, rows.finished().filter(redis_copy=True)):
        tell_ends(station, batch)
    with station.table.statement():  # they are counted there from now on, with a copy or without
        rows.claimed().exclude(rate_limit_key="").update(redis_copy=True)
    for batch in _in_batches(station, rows.claimed().filter(redis_copy=True)):
        _evict(station, batch)
    for batch in _in_batches(station, rows.dispatched().filter(stale_copy=True)):
        push_rows(station, decide(station, batch))


def tell_redis_of(station: Station, claims: Sequence[Claim]) -> None:
    """Tell Redis, with the database away, what this worker itself executes from the database."""
    station.redis.evict([claim for claim in claims if claim.store == station.table.name])


def tell_results(station: Station) -> int:
    """Give rq one batch of results of jobs that ended in the database: of those that were only
    ever there, and of those that a worker still executed from there when Redis came back."""
    rows = station.table.rows.on_queues(station.queue_names).finished()
    if settings.KEEP_FINISHED_UNTIL_FSYNC:  # then those with a copy wait for Redis's disk
        rows = rows.filter(redis_copy=False)
    with station.table.statement():
        batch = list(rows.order_by("pk")[:BATCH])
    return tell_ends(station, batch) if batch else 0


def tell_ends(station: Station, rows: list[FallbackJob]) -> int:
    """Replay what the database settled into rq's keys, then drop the rows; returns how many."""
    ends: list[tuple[Claim, Settlement]] = []
    for row in rows:
        try:
            snapshot = JobSnapshot.load(bytes(row.payload))
            ends.append((_claim(row, snapshot), Settlement.load(bytes(row.outcome or b""))))
        except UndecodableSnapshot:
            # The job has ended: all that Redis needs to know is that its copy is void.
            station.redis.evict([_claim(row, name_of(row))])
    verdicts = station.redis.settle_all(ends, replay=True)
    told_of = zip(ends, verdicts, strict=True)
    failed = [claim.job_id for (claim, _), verdict in told_of if verdict is Verdict.FAILED]
    with station.table.statement():
        told = station.table.rows.finished().filter(
            pk__in=[row.pk for row in rows],
            generation__in=[row.generation for row in rows],  # not of a newer enqueue of the id
        )
        return told.exclude(job_id__in=failed).delete()[0]


def _evict(station: Station, rows: list[FallbackJob]) -> None:
    claims = []
    for row in rows:
        others = [w for w in station.watch.live() if w.name != row.claimed_by]
        if any(worker.holds(row.job_id) for worker in others):
            continue  # Redis's copy is in the hands of a worker: only the first settle counts
        claims.append(_claim(row, _readable(row)))
    if claims:
        station.redis.evict(claims)


def _readable(row: FallbackJob) -> JobSnapshot:
    """The job, of which only a limit and a timeout count, and these only if there is one."""
    try:
        return JobSnapshot.load(bytes(row.payload)) if row.rate_limit_key else name_of(row)
    except UndecodableSnapshot:
        return name_of(row)


def _claim(row: FallbackJob, snapshot: JobSnapshot) -> Claim:
    return Claim(snapshot, "redis", "", row.attempt, row.version)


def _in_batches(station: Station, rows: FallbackJobQuerySet) -> Iterator[list[FallbackJob]]:
    last = 0
    while True:
        with station.table.statement():
            batch = list(rows.filter(pk__gt=last).order_by("pk")[:BATCH])
        if not batch:
            return
        yield batch
        last = batch[-1].pk
