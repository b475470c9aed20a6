"""Sweep: deaths that no worker of ours recorded, read from rq's failed registry."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from rq.defaults import RQ_KEY_PREFIX
from rq.job import JobStatus
from rq.results import Result

from ..jobs import DEAD, DISCARD, GENERATION, LETTERED, JobSnapshot
from ..models import DeadLetter, FailedAttempt
from ..outcomes import Failure, Reason
from ..stores.measures import count_death
from .station import Station

BATCH = 200
_LETTERED, _DISCARD = LETTERED.encode(), DISCARD.encode()


def sweep(station: Station, cursors: dict[str, int]) -> int:
    """Read on in each queue's failed registry; returns how many letters were written.

    *cursors* remembers where each scan stands, so that a large registry costs little at a time.
    """
    written = 0
    for queue_name in station.queue_names:
        key = f"{RQ_KEY_PREFIX}:failed:{queue_name}"
        cursor = cursors.get(queue_name, 0)
        cursor_, found = station.redis.link.call("ZSCAN", key, cursor, "COUNT", BATCH)
        cursors[queue_name] = int(cursor_)
        ids = [job_id.decode() for job_id in found[::2]]
        written += write_letters(station, [(queue_name, job_id) for job_id in ids])
    return written


def write_letters(station: Station, dead: Sequence[tuple[str, str]]) -> int:
    """Write the letters of jobs (queue, id) in rq's failed registry and drop their rows."""
    prefix = station.redis.keys.job_prefix
    raws = station.redis.link.call_all([("HGETALL", prefix + job_id) for _, job_id in dead])
    written = 0
    for (queue_name, job_id), raw in zip(dead, raws, strict=True):
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
        if fields.get(b"status") == str.encode(JobStatus.FAILED) and _LETTERED not in fields:
            _write(station, queue_name, job_id, fields)
            written += 1
    return written


def _write(station: Station, queue_name: str, job_id: str, fields: dict[bytes, bytes]) -> None:
    ended = fields.get(b"ended_at", b"") or fields.get(b"created_at", b"")
    generation = (fields.get(DEAD.encode()) or fields.get(GENERATION.encode()) or ended).decode()
    snapshot = JobSnapshot.from_hash(job_id, queue_name, fields, generation=generation)
    snapshot = JobSnapshot(job_id, queue_name, generation[:64], snapshot.fields)
    failure = _failure(_newest_result(station, job_id), fields)
    letter = DeadLetter.of(
        snapshot,
        failure,
        attempts=int(fields.get(b"drq_attempt") or 0) + 1,
        worker_name=snapshot.text("worker_name"),
        died_at=snapshot.time("ended_at"),
    )
    with station.table.transaction():
        is_new = bool(station.table.letters.record([letter]))
        if is_new and DEAD.encode() not in fields:  # else the worker that settled it has counted
            count_death(snapshot, queue_name, station.redis.name, alias=station.table.alias)
        attempt = FailedAttempt.of(
            snapshot,
            letter.attempts - 1,
            failure,
            worker_name=letter.worker_name,
            ended_at=letter.died_at,
        )
        FailedAttempt.objects.using(station.table.alias).record([attempt])
        station.table.rows.of(job_id, snapshot.generation).dispatched().delete()
    _mark(station, queue_name, job_id, discard=_DISCARD in fields)


def _mark(station: Station, queue_name: str, job_id: str, *, discard: bool) -> None:
    """Remember in Redis that the letter is written; a job with ``failure_ttl=0`` goes now."""
    key = station.redis.keys.job_prefix + job_id
    commands: list[tuple[Any, ...]] = [("HSET", key, _LETTERED, "1")]
    if discard:
        commands = [
            ("DEL", key, f"{RQ_KEY_PREFIX}:results:{job_id}"),
            ("ZREM", f"{RQ_KEY_PREFIX}:failed:{queue_name}", job_id),
        ]
    station.redis.link.call_all(commands)


def _newest_result(station: Station, job_id: str) -> dict[bytes, bytes]:
    """Read rq's newest result of a job: plain rq keeps the traceback there, not in the hash."""
    key = f"{RQ_KEY_PREFIX}:results:{job_id}"
    entries = station.redis.link.call("XREVRANGE", key, "+", "-", "COUNT", 1)
    words = entries[0][1] if entries else []
    return dict(zip(words[::2], words[1::2], strict=True))


def _traceback(result: dict[bytes, bytes], fields: dict[bytes, bytes]) -> str:
    raw = fields.get(b"exc_info", b"")
    try:
        packed = b64decode(result[b"exc_string"]) if b"exc_string" in result else raw
        return zlib.decompress(packed).decode("utf-8", "replace")
    except (ValueError, zlib.error):
        return raw.decode("utf-8", "replace")


def _failure(result: dict[bytes, bytes], fields: dict[bytes, bytes]) -> Failure:
    if result.get(b"type") == str(Result.Type.MAX_RETRIES_EXCEEDED.value).encode():
        words = "returned Retry past its max"
        return Failure(Reason.RETRIES_EXCEEDED, "rq.job.Retry", words)
    text = _traceback(result, fields)
    last = text.strip().rpartition("\n")[2]
    name, _, message = last.partition(":")
    if "AbandonedJobError" in text or "stuck in intermediate" in text:
        return Failure(Reason.ABANDONED, "rq.exceptions.AbandonedJobError", last, text)
    if "Work-horse terminated" in text:
        return Failure(Reason.KILLED, "", last, text)
    if "JobTimeoutException" in name:
        return Failure(Reason.TIMEOUT, name, message.strip(), text)
    is_class = name.replace(".", "").isidentifier()
    return Failure(Reason.RAISED, name if is_class else "", message.strip() or last, text)
