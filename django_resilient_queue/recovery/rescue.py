"""Rescue: jobs whose worker is gone are put back, or buried when that happened too often."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rq.defaults import RQ_KEY_PREFIX

from ..conf import settings
from ..exceptions import UndecodableSnapshot
from ..jobs import RESCUES, JobSnapshot
from ..models import FallbackJob
from ..models.fallback_job import State
from ..outcomes import Attempt, Failure, Reason, Settlement, die
from ..stores.base import Claim, Verdict, boottime
from ..stores.redis import ENTRY_TTL
from .station import Station

BATCH = 500


def rescue_started(station: Station, *, without_database: bool = False) -> int:
    """Put back the jobs of gone workers from rq's started registries; returns how many.

    Without the database nothing is known of other workers: then only entries count that have
    expired, which takes ENTRY_TTL.
    """
    rescued = 0
    for queue_name in station.queue_names:
        spared = []
        for claim, worker_name in _entries(station, queue_name, only_expired=without_database):
            if without_database:
                rescued += _put_back(station, claim, worker_name, bury=False)
            elif _is_orphan(station, claim, worker_name):
                rescued += _put_back(station, claim, worker_name, bury=True)
            else:
                spared.append(claim)
        _renew(station, queue_name, spared)
    return rescued


def rescue_claimed(station: Station) -> int:
    """Put back claimed rows whose worker is gone, or lives and does not know of them."""
    with station.table.statement():
        rows = station.table.rows.on_queues(station.queue_names).claimed()
        claimed = list(rows.order_by("pk")[:BATCH])
    return sum(
        _free(station, row)
        for row in claimed
        if _is_let_go(station, row.claimed_by, row.job_id, row.claim_token)
    )


def _entries(station: Station, queue_name: str, *, only_expired: bool) -> list[tuple[Claim, str]]:
    """Read a started registry: our executions only, those of plain rq workers are rq's."""
    link, key = station.redis.link, f"{RQ_KEY_PREFIX}:wip:{queue_name}"
    now = repr(datetime.now(UTC).timestamp())
    members = link.call(
        "ZRANGEBYSCORE", key, "-inf", now if only_expired else "+inf", "LIMIT", 0, BATCH
    )
    pairs = [tuple(member.decode().split(":", 1)) for member in members if b":" in member]
    prefix = station.redis.keys.job_prefix
    commands: list[tuple[Any, ...]] = []
    for job_id, eid in pairs:
        commands.append(
            ("HMGET", f"{RQ_KEY_PREFIX}:execution:{job_id}:{eid}", "worker_name", "drq")
        )
        commands.append(("HGETALL", prefix + job_id))
    answers = link.call_all(commands)
    entries = []
    for i, (job_id, eid) in enumerate(pairs):
        (worker, ours), raw = answers[2 * i], answers[2 * i + 1]
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
        name = (worker or fields.get(b"worker_name") or b"").decode()
        if (ours or worker is None) and b"drq_generation" in fields:
            entries.append((_claim(job_id, queue_name, eid, fields), name))
    return entries


def _claim(job_id: str, queue_name: str, eid: str, fields: dict[bytes, bytes]) -> Claim:
    snapshot = JobSnapshot.from_hash(job_id, queue_name, fields)
    attempt = int(fields.get(b"drq_attempt") or 0)
    rescues = int(fields.get(RESCUES.encode()) or 0)
    return Claim(snapshot, "redis", eid, attempt, rescues=rescues)


def _is_orphan(station: Station, claim: Claim, worker_name: str) -> bool:
    """Ask the database before a job is taken from a worker: what it executes or has settled, and
    what a live worker has in hand, is no orphan."""
    if not _is_let_go(station, worker_name, claim.job_id, claim.token):
        return False
    if station.is_held(claim.job_id):
        return False
    with station.table.statement():
        row = station.table.rows.of(claim.job_id, claim.snapshot.generation)
        known = row.values_list("state", "attempt").first()
    if known is None:
        return True
    state, attempt = known
    return state not in (State.CLAIMED, State.FINISHED) and attempt <= claim.attempt


def _is_let_go(station: Station, owner: str, job_id: str, token: str) -> bool:
    """Tell whether a claim's owner is gone, or lives and does not know of it: the answer to the
    claim was lost, or it is of an earlier life of that name."""
    key = ("claim", job_id, token)
    if owner == station.name:
        return job_id not in station.in_hand() and _persists(station, key)
    if station.watch.is_gone(owner):
        return True
    seen = station.watch.seen.get(owner)
    if seen is None or (job_id, token) in seen.in_flight:
        station.suspicions.clear(key)
        return False
    # A live owner that has written its heartbeat since and still does not list the claim.
    return station.watch.wrote_since(owner, station.suspicions.mark(key))


def _persists(station: Station, key: Any) -> bool:
    marked_at = station.suspicions.mark(key)
    return boottime() - marked_at >= settings.LEASE


def _renew(station: Station, queue_name: str, spared: list[Claim]) -> None:
    """Keep the entries of jobs that are no orphans, whose worker may be cut from Redis: what has
    expired is buried by rq's own cleaning, which asks nobody."""
    if spared:
        expiry = repr(datetime.now(UTC).timestamp() + ENTRY_TTL)
        words = [word for c in spared for word in (expiry, f"{c.job_id}:{c.token}")]
        station.redis.link.call("ZADD", f"{RQ_KEY_PREFIX}:wip:{queue_name}", "XX", *words)


def _put_back(station: Station, claim: Claim, worker_name: str, *, bury: bool) -> int:
    if bury and claim.rescues >= settings.RESCUE_LIMIT:
        end = _abandoned(claim, worker_name)
        if station.redis.settle(claim, end) in (Verdict.WON, Verdict.SETTLED):
            station.table.ends.follow([(claim, end)])
            station.on_abandoned(claim, end)
        return 1
    return int(station.redis.rescue(claim) >= 0)


def _free(station: Station, row: FallbackJob) -> int:
    table = station.table
    try:
        snapshot = JobSnapshot.load(bytes(row.payload))
    except UndecodableSnapshot as error:
        with table.transaction():
            table.ends.bury(row, error)
        return 1
    claim = Claim(snapshot, table.name, row.claim_token, row.attempt, row.version, row.rescues)
    if row.rescues >= settings.RESCUE_LIMIT:
        end = _abandoned(claim, row.claimed_by)
        if table.settle(claim, end) is Verdict.WON:
            station.on_abandoned(claim, end)
        return 1
    with table.transaction():
        mine = table.rows.filter(pk=row.pk, claim_token=row.claim_token)
        mine.claimed().update(rescues=row.rescues + 1)
        return mine.give_back(timezone.now())


def _abandoned(claim: Claim, worker_name: str) -> Settlement:
    now = timezone.now()
    words = f"its worker died {claim.rescues + 1} times with this job in hand"
    failure = Failure(Reason.ABANDONED, "rq.exceptions.AbandonedJobError", words, words)
    attempt = Attempt(worker_name, claim.token, claim.snapshot.time("started_at") or now, now)
    return die(claim.snapshot, attempt, failure)
