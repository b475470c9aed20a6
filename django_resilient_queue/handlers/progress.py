"""How far a job has come: told from inside of it, read from outside, whichever store has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from redis.exceptions import RedisError
from rq import get_current_job
from rq.job import Job

from .. import events

META_KEY = "progress"
_PACE = 1.0  # seconds between two reports that are written
_LONGEST_NOTE = 200
_WRITTEN_AT = "_drq_progress_written_at"
_UNWRITTEN = "_drq_progress_unwritten"


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of so many, in whatever the handler counts; ``total`` is 0 where nobody knows it."""

    done: int
    total: int
    note: str = ""

    @property
    def percent(self) -> float | None:
        """The same of a hundred, None without a total."""
        return min(100.0 * self.done / self.total, 100.0) if self.total else None

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Progress | None:
        """Read a job's meta; None where it says nothing, or not in these words."""
        found = meta.get(META_KEY)
        if not isinstance(found, Mapping):
            return None
        done, total, note = found.get("done"), found.get("total"), found.get("note", "")
        if not isinstance(done, int) or not isinstance(total, int):
            return None
        return cls(done, total, str(note))


def progress(
    done: int, total: int, note: str = "", *, clock: Callable[[], float] = time.monotonic
) -> None:
    """Tell how far the job has come that this is called from; outside of one it does nothing.

    At most one report a second is written, and always the last. No store being away fails the job.
    """
    job = get_current_job()
    if job is None:
        return
    job.meta[META_KEY] = asdict(Progress(int(done), int(total), str(note)[:_LONGEST_NOTE]))
    is_last = 0 < total <= done
    if is_last or clock() - getattr(job, _WRITTEN_AT, -_PACE) >= _PACE:
        setattr(job, _WRITTEN_AT, clock())
        _write(job)
    else:
        setattr(job, _UNWRITTEN, True)


def write_last() -> None:
    """Write the report that came too soon after the one before it, when the job is at its end."""
    job = get_current_job()
    if job is not None and getattr(job, _UNWRITTEN, False):
        _write(job)


def _write(job: Job) -> None:
    setattr(job, _UNWRITTEN, False)
    try:
        job.save_meta()
    except (RedisError, OSError) as error:  # rq's own workers write straight to Redis
        events.PROGRESS_NOT_SAVED.log(job_id=job.id, cause=type(error).__name__)
