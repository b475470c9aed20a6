"""What becomes of a job after an attempt, decided from values alone; no store is touched here.

The rules are rq's own: ``BaseWorker.handle_job_success``, ``handle_job_failure`` and
``handle_job_retry`` of rq 3.0.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rq.defaults import DEFAULT_FAILURE_TTL
from rq.job import JobStatus
from rq.results import Result

from .exceptions import UndecodableSnapshot
from .jobs import JobSnapshot, timestamp
from .seal import seal, unseal

_PURPOSE = "settlement"
TRACEBACK_LIMIT = 64 * 1024
_LONGEST = 36_500 * 86_400  # seconds: no store has room for what rq takes as an interval


class Ending(StrEnum):
    """How an attempt ended, for the job."""

    FINISHED = "finished"
    REPEAT = "repeat"  # finished, and rq's Repeat wants it again: a new generation
    RETRY = "retry"
    DEAD = "dead"
    STOPPED = "stopped"  # by an operator: cancelled, not dead


class Reason(StrEnum):
    """Why a job is dead."""

    RAISED = "raised"
    RETRIES_EXCEEDED = "retries_exceeded"
    TIMEOUT = "timeout"
    KILLED = "killed"
    ABANDONED = "abandoned"
    UNDECODABLE = "undecodable"
    NOT_IMPORTABLE = "not_importable"
    EXPIRED = "expired"
    UNKNOWN_QUEUE = "unknown_queue"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, as text: nothing here needs the job's own classes."""

    reason: Reason
    error_class: str = ""
    message: str = ""
    traceback: str = ""

    def words(self) -> dict[str, str]:
        """Return the three texts as a database takes them: PostgreSQL's holds no NUL character."""
        return {
            "error_class": self.error_class.replace("\0", "")[:255],
            "message": self.message.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            "traceback": self.traceback.replace("\0", "\N{REPLACEMENT CHARACTER}"),
        }

    def bounded(self) -> Failure:
        """Return the same failure, its traceback cut in the middle to at most 64 KiB."""
        if len(self.traceback) <= TRACEBACK_LIMIT:
            return self
        half = TRACEBACK_LIMIT // 2
        text = self.traceback[:half] + "\n[...]\n" + self.traceback[-half:]
        return Failure(self.reason, self.error_class, self.message[:1000], text)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution, as the worker saw it. Times are aware; ``execution_id`` is rq's."""

    worker_name: str
    execution_id: str
    started_at: datetime
    ended_at: datetime

    @property
    def seconds(self) -> float:
        """How long the attempt took."""
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What to write for the end of an attempt, the same for every store.

    ``fields`` are changes to rq's hash, ``result`` is an entry of its result stream (None for no
    entry), ``ttl`` says how long hash and result stay (seconds, -1 for ever, 0 not at all),
    ``delay`` when a retry or repeat is due (seconds from now).
    """

    ending: Ending
    fields: Mapping[str, bytes]
    result: Mapping[str, str] | None = None
    ttl: int = -1
    delay: int = 0
    at_front: bool = False
    failure: Failure | None = None
    seconds: float = 0.0
    died_at: str = ""
    worker_name: str = ""

    def __post_init__(self) -> None:
        """Keep times to what every store can say: one that can't would end its worker."""
        object.__setattr__(self, "ttl", min(self.ttl, _LONGEST))
        object.__setattr__(self, "delay", min(self.delay, _LONGEST))

    def dump(self) -> bytes:
        """Write the settlement as signed bytes, for a row that waits for Redis."""
        data = {
            "ending": self.ending.value,
            "fields": {name: b64encode(value).decode() for name, value in self.fields.items()},
            "result": dict(self.result) if self.result is not None else None,
            "ttl": self.ttl,
            "delay": self.delay,
            "seconds": self.seconds,
            "worker_name": self.worker_name,
        }
        return seal(json.dumps(data).encode(), purpose=_PURPOSE)

    @classmethod
    def load(cls, sealed: bytes) -> Settlement:
        """Read what ``dump`` wrote, without the failure. Raises UndecodableSnapshot."""
        body = unseal(bytes(sealed), purpose=_PURPOSE)
        try:
            data = json.loads(body)
            return cls(
                ending=Ending(data["ending"]),
                fields={name: b64decode(text) for name, text in data["fields"].items()},
                result=data["result"],
                ttl=data["ttl"],
                delay=data["delay"],
                seconds=data["seconds"],
                worker_name=data["worker_name"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UndecodableSnapshot("the stored settlement has an unknown form") from error


@dataclass(frozen=True, slots=True)
class ReturnedRetry:
    """The ``Retry`` that a job returned, and its pickle for the result stream."""

    max: int
    intervals: list[int]
    at_front: bool
    pickled: bytes = field(default=b"", repr=False)


def finish(
    snapshot: JobSnapshot, attempt: Attempt, *, return_value: bytes | None, default_ttl: int
) -> Settlement:
    """Settle a job that returned. ``return_value`` is serialised already, None for no value."""
    stated = snapshot.number("result_ttl")
    ttl = default_ttl if stated is None else stated
    result = _result(Result.Type.SUCCESSFUL, attempt, return_value=return_value)
    settled: dict[str, Any] = {
        "result": result if ttl != 0 else None,
        "seconds": attempt.seconds,
        "worker_name": attempt.worker_name,
    }
    repeats = snapshot.number("repeats_left") or 0
    if repeats > 0:
        return _repeat(snapshot, attempt, repeats, settled)
    fields = _ended(attempt, JobStatus.FINISHED)
    return Settlement(Ending.FINISHED, fields, ttl=ttl, **settled)


def fail(
    snapshot: JobSnapshot, attempt: Attempt, failure: Failure, *, may_retry: bool = True
) -> Settlement:
    """Settle an attempt that failed: a retry while ``retries_left`` lasts, else the job is dead."""
    left = snapshot.number("retries_left") or 0
    if may_retry and left > 0:
        intervals = snapshot.numbers("retry_intervals")
        delay = intervals[max(len(intervals) - left, 0)] if intervals else 0
        changes = {"retries_left": str(left - 1).encode()}
        at_front = snapshot.number("enqueue_at_front_on_retry") == 1
        return _retry(attempt, delay, changes, at_front, failure, None)
    return die(snapshot, attempt, failure)


def die(
    snapshot: JobSnapshot,
    attempt: Attempt,
    failure: Failure,
    *,
    result: Mapping[str, str] | None = None,
    status: JobStatus = JobStatus.FAILED,
) -> Settlement:
    """Settle a job that has no attempt left."""
    stated = snapshot.number("failure_ttl")
    fields = _ended(attempt, status)
    fields["exc_info"] = zlib.compress(failure.traceback.encode())
    return Settlement(
        Ending.STOPPED if status is JobStatus.STOPPED else Ending.DEAD,
        fields,
        result=result or _result(Result.Type.FAILED, attempt, exc_string=failure.traceback),
        ttl=DEFAULT_FAILURE_TTL if stated is None else stated,
        failure=failure.bounded(),
        seconds=attempt.seconds,
        died_at=attempt.ended_at.isoformat(),
        worker_name=attempt.worker_name,
    )


def stop(snapshot: JobSnapshot, attempt: Attempt) -> Settlement:
    """Settle a job that an operator stopped in mid-run."""
    words = Failure(
        Reason.KILLED, "", "stopped by an operator", "Job stopped by user, work-horse terminated."
    )
    return die(snapshot, attempt, words, status=JobStatus.STOPPED)


def retry_returned(snapshot: JobSnapshot, attempt: Attempt, retry: ReturnedRetry) -> Settlement:
    """Settle a job that returned ``Retry``: another attempt until its max, else the job is dead."""
    done = snapshot.number("number_of_retries") or 0
    if done >= retry.max:
        failure = Failure(
            Reason.RETRIES_EXCEEDED, "rq.job.Retry", f"returned Retry past its max of {retry.max}"
        )
        result = _result(Result.Type.MAX_RETRIES_EXCEEDED, attempt, return_value=retry.pickled)
        return die(snapshot, attempt, failure, result=result)
    delay = retry.intervals[min(len(retry.intervals) - 1, done)] if retry.intervals else 0
    changes = {"number_of_retries": str(done + 1).encode()}
    at_front = retry.at_front or snapshot.number("enqueue_at_front_on_retry") == 1
    if at_front:  # in the hash as well: a delayed retry goes to its list much later
        changes["enqueue_at_front_on_retry"] = b"1"
    result = _result(Result.Type.RETRIED, attempt, return_value=retry.pickled)
    return _retry(attempt, delay, changes, at_front, None, result)


def _retry(
    attempt: Attempt,
    delay: int,
    changes: dict[str, bytes],
    at_front: bool,
    failure: Failure | None,
    result: Mapping[str, str] | None,
) -> Settlement:
    status = JobStatus.SCHEDULED if delay else JobStatus.QUEUED
    return Settlement(
        Ending.RETRY,
        {**_ended(attempt, status), **changes},
        result=result,
        delay=delay,
        at_front=at_front,
        failure=failure.bounded() if failure else None,
        seconds=attempt.seconds,
        worker_name=attempt.worker_name,
    )


def _repeat(
    snapshot: JobSnapshot, attempt: Attempt, repeats: int, settled: dict[str, Any]
) -> Settlement:
    intervals = snapshot.numbers("repeat_intervals")
    delay = intervals[0] if intervals else 0
    fields = _ended(attempt, JobStatus.SCHEDULED if delay else JobStatus.QUEUED)
    fields["repeats_left"] = str(repeats - 1).encode()
    if len(intervals) > 1:
        fields["repeat_intervals"] = json.dumps(intervals[1:]).encode()
    return Settlement(Ending.REPEAT, fields, delay=delay, **settled)


def _ended(attempt: Attempt, status: JobStatus) -> dict[str, bytes]:
    return {
        "status": str.encode(status),
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "last_heartbeat": timestamp(attempt.ended_at),
        "worker_name": attempt.worker_name.encode(),
    }


def _result(
    type_: Result.Type,
    attempt: Attempt,
    *,
    return_value: bytes | None = None,
    exc_string: str | None = None,
) -> dict[str, str]:
    entry = {
        "type": str(type_.value),
        "worker_name": attempt.worker_name,
        "execution_id": attempt.execution_id,
        "execution_started_at": repr(attempt.started_at.timestamp()),
        "execution_ended_at": repr(attempt.ended_at.timestamp()),
    }
    if exc_string is not None:
        entry["exc_string"] = b64encode(zlib.compress(exc_string.encode())).decode()
    if return_value is not None:
        entry["return_value"] = b64encode(return_value).decode()
    return entry
