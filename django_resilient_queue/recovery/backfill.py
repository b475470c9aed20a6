"""Backfill: jobs that reached Redis without a row get one."""

from __future__ import annotations

from ..conf import settings
from ..jobs import ATTEMPT, GENERATION, JobSnapshot
from ..models.fallback_job import State
from ..stores.keys import our_key
from ..stores.rows import Entry
from .station import Station

BATCH = 200


def adopt(station: Station, offsets: dict[str, int]) -> int:
    """Look through the lists, a part at a time, for jobs that plain rq put there.

    A dashboard's requeue, and a service without Django, push with rq's own queue class: such a job
    is as safe as Redis until it has a row. *offsets* remembers where each look stands.
    """
    found = 0
    for queue_name in station.queue_names:
        if settings.outbox_for(queue_name):
            start = offsets.get(queue_name, 0)
            seen, adopted = station.redis.adopt(queue_name, start, BATCH)
            offsets[queue_name] = start + seen if seen == BATCH else 0
            found += adopted
    return found


def backfill(station: Station) -> int:
    """Write rows for jobs that are listed as unprotected; returns how many were handled."""
    link, key = station.redis.link, our_key("unprotected")
    ids = [job_id.decode() for job_id in link.call("SRANDMEMBER", key, BATCH)]
    if not ids:
        return 0
    prefix = station.redis.keys.job_prefix
    raws = link.call_all([("HGETALL", prefix + job_id) for job_id in ids])
    protected = []
    for job_id, raw in zip(ids, raws, strict=True):
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
        # Without a generation the job has not been claimed since rq wrote it; the claim draws one.
        if GENERATION.encode() in fields:
            _insert(station, job_id, fields)
        elif fields:
            continue
        protected.append(job_id)
    if protected:
        link.call("SREM", key, *protected)
    return len(protected)


def _insert(station: Station, job_id: str, fields: dict[bytes, bytes]) -> None:
    queue_name = fields.get(b"origin", b"").decode()
    snapshot = JobSnapshot.from_hash(job_id, queue_name, fields)
    attempt = int(fields.get(ATTEMPT.encode()) or 0)
    entry = Entry(snapshot, State.DISPATCHED, redis_copy=True, attempt=attempt)
    station.table.insert_missing(entry)
