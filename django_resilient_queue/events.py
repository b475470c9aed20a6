"""Every event that this package logs: its fixed words, its level, and when it happens.

A line is the words, then key=value; the record carries the same as ``extra``, with ``event`` as the
words joined by _. No line has a payload, nor an error's message where that is the project's: its
class and the places in the code are what can be shown.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Any

from .context import OF_JOBS, current

LOGGER = "django_resilient_queue"
OF_WORKERS = "rq.worker"
OF_DEATHS = f"{LOGGER}.deaths"  # what Sentry is told of in another way

_MOST_CAUSES = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line."""

    words: str
    level: int
    when: str
    logger_name: str = LOGGER

    @property
    def name(self) -> str:
        """What stays the same: ``event`` of the record."""
        return self.words.replace(" ", "_").replace("-", "_")

    @property
    def is_heard(self) -> bool:
        """Tell whether a line would be written: not to gather for nothing what it would say."""
        return logging.getLogger(self.logger_name).isEnabledFor(self.level)

    def log(
        self,
        job: Mapping[str, Any] | None = None,
        *,
        level: int | None = None,
        error: BaseException | None = None,
        **facts: Any,
    ) -> None:
        """Write the line: *facts* are said, those of the *job* are in the record besides; without
        one those of the job, or request, that this code runs for. *error* adds its class and where
        it was raised."""
        logger = logging.getLogger(self.logger_name)
        level = self.level if level is None else level
        if not logger.isEnabledFor(level):
            return
        if error is not None:
            facts |= {"error_class": _class_of(error)}
        text = " ".join((self.words, *(f"{name}=%s" for name in facts)))
        extra = {**_of_job(job), **facts, "event": self.name}
        values = list(facts.values())
        if error is not None:
            text, values = text + "\n%s", [*values, places(error)]
        logger.log(level, text, *values, extra=extra)


def places(error: BaseException) -> str:
    """Return where an error, and what caused it, was raised: a traceback without their messages,
    which may hold data."""
    return "\n".join(_places(error))


def _places(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain and len(chain) < _MOST_CAUSES:
        chain.append(found)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    for each in reversed(chain):
        yield "Traceback (most recent call last):"
        yield "".join(traceback.format_tb(each.__traceback__)).rstrip("\n")
        yield _class_of(each)


def _class_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _of_job(job: Mapping[str, Any] | None) -> dict[str, Any]:
    about = current() if job is None else job
    return {name: about.get(name) for name in OF_JOBS} if about else {}


# ---- jobs ----------------------------------------------------------------------------------------

JOB_STARTED = Event("job started", INFO, "A horse has the job.", OF_WORKERS)
JOB_FINISHED = Event("job finished", INFO, "It returned.", OF_WORKERS)
JOB_REPEAT = Event("job repeat", INFO, "It returned, and rq's Repeat has it run again.", OF_WORKERS)
JOB_RETRY = Event("job retry", INFO, "An attempt failed, and there is another.", OF_WORKERS)
JOB_DEAD = Event("job dead", WARNING, "It has no attempt left: a dead letter.", OF_WORKERS)
JOB_STOPPED = Event("job stopped", INFO, "An operator stopped it in mid-run.", OF_WORKERS)
JOB_FAILED = Event(
    "job failed", ERROR, "An attempt raised; where, but not its message.", OF_WORKERS
)
JOB_CANCELLED = Event("job cancelled", INFO, "It was deleted from Redis, so its row goes, too.")
JOB_NOT_SETTLED = Event(
    "job not settled", ERROR, "A worker ends before a store took a job's end: it may run again."
)
SETTLEMENT_LOST = Event(
    "settlement lost", WARNING, "Another worker took the job over before this one's end counted."
)
CRITICAL_DEATH = Event(
    "critical job dead-lettered", CRITICAL, "A job died whose handler is critical.", OF_DEATHS
)
LETTER_NOT_STORED = Event(
    "dead letter not stored",
    ERROR,
    "Neither store took a death: the whole letter as JSON, the job in it sealed."
    " The one line with a payload, for there is no other place.",
    OF_DEATHS,
)
META_NOT_SAVED = Event("meta not saved", WARNING, "A store did not take what a job saved.")
PROGRESS_NOT_SAVED = Event("progress not saved", WARNING, "The same of a job's progress.")
NOT_STOPPED = Event("not stopped", WARNING, "An operator's stop found the job not in hand.")
WISH_NOT_TAKEN_BACK = Event(
    "wish not taken back", WARNING, "To stop a job that has ended; it is asked for again."
)
FOLLOW_UP_FAILED = Event(
    "follow-up failed", ERROR, "What waits for a finished job could not be enqueued."
)

# ---- enqueue -------------------------------------------------------------------------------------

JOBS_UNPROTECTED = Event("jobs unprotected", WARNING, "Redis has jobs that have no row yet.")
ROWS_NOT_READY = Event("rows not marked ready", WARNING, "Reconcile pushes these jobs, later.")
ROW_NOT_TAKEN_BACK = Event("row not taken back", WARNING, "A refused job's row is still there.")

# ---- stores --------------------------------------------------------------------------------------

CIRCUIT_CHANGED = Event("circuit changed", WARNING, "A process orders its stores anew.")
OUTAGE_NOT_REPORTED = Event("outage not reported", WARNING, "The database is away as well.")
REDIS_LOST = Event("redis lost", WARNING, "A worker goes on with the database.")
REDIS_AWAY = Event("redis away", WARNING, "The same as it starts, or could not come back.")
REDIS_IN_USE = Event("redis in use", INFO, "A worker claims from Redis.")
DATABASE_LOST = Event("database lost", WARNING, "A worker goes on without rows.")
DATABASE_IN_USE = Event("database in use", INFO, "The database answers again.")
HEARTBEAT_LEFT = Event("heartbeat left behind", WARNING, "A worker ended with the database away.")
QUEUE_PAUSED = Event("queue paused", INFO, "By whom is said.")
QUEUE_RESUMED = Event("queue resumed", INFO, "A queue's pause ended.")
ALL_RESUMED = Event("all queues resumed", INFO, "Every pause ended.")
PAUSE_NOT_TOLD = Event("pause not told", WARNING, "A worker tells that Redis of it.")

COUNTS_NOT_WRITTEN = Event(
    "counts not written",
    WARNING,
    "What a process counted for the metrics waits, or is lost with it.",
)
JOBS_LOST = Event("jobs lost", ERROR, "Redis came back without jobs that it alone had.")

# ---- workers -------------------------------------------------------------------------------------

WORKER_STARTED = Event("worker started", INFO, "It is about to claim.", OF_WORKERS)
WORKER_TO_STOP = Event("worker to be stopped", INFO, "Somebody asks a worker to end.")
WORKER_ASKED_TO_STOP = Event("worker asked to stop", INFO, "It has heard so.", OF_WORKERS)
WORKER_ENDED = Event("worker ended", INFO, "It has settled what it could.", OF_WORKERS)
DEATH_NOT_REGISTERED = Event(
    "death not registered", WARNING, "Redis lists a worker that ended, for a while.", OF_WORKERS
)
TROUBLE = Event("trouble", ERROR, "Redis says that a key is spoilt.", OF_WORKERS)
TROUBLE_OVER = Event("trouble over", INFO, "Somebody has mended it.", OF_WORKERS)
HORSE_KILLED = Event("horse killed", WARNING, "A horse died over its job.", OF_WORKERS)
HORSE_FAILED = Event("horse failed", ERROR, "An error of this package ended a horse.", OF_WORKERS)
NO_HORSE = Event("no horse", ERROR, "No process can be had; tried again.", OF_WORKERS)
NO_HORSE_BUSY = Event("no horse is busy", INFO, "kill-horse was ignored.", OF_WORKERS)
NO_PROCESS = Event("no process to be had", ERROR, "The same for other tasks.", OF_WORKERS)
CHILD_FAILED = Event("child failed", ERROR, "An error of this package ended a task.", OF_WORKERS)
CHILD_KILLED = Event("child killed", ERROR, "A task took too long.", OF_WORKERS)
HOUSEKEEPING_FAILED = Event(
    "housekeeping failed", ERROR, "A row or an entry is bad; the next run meets it.", OF_WORKERS
)
CALLBACK_FAILED = Event(
    "failure callback failed", ERROR, "The project's callback raised.", OF_WORKERS
)
EXCEPTION_HANDLER_FAILED = Event(
    "exception handler failed", ERROR, "The project's exception handler raised.", OF_WORKERS
)
ERRAND_FAILED = Event("errand failed", ERROR, "A callback or webhook raised.", OF_WORKERS)
ERRAND_KILLED = Event("errand killed", ERROR, "One took too long.", OF_WORKERS)
ERRAND_PUT_OFF = Event("errand put off", ERROR, "No process for one; tried again.", OF_WORKERS)

# ---- alerts --------------------------------------------------------------------------------------

ALERT_FIRED = Event("alert fired", CRITICAL, "A condition holds; the rule's level.")
ALERT_REMINDER = Event("alert reminder", CRITICAL, "It still does.")
ALERT_RESOLVED = Event("alert resolved", WARNING, "It does no more.")
ALERT_TEST = Event("alert test", INFO, "Somebody tries the channel.")
ALERT_NOT_SENT = Event("alert not sent", ERROR, "A channel failed; tried again, or given up.")
ALERT_RECEIVER_FAILED = Event("alert receiver failed", ERROR, "A receiver of the signal raised.")
ALERTS_NOT_LOOKED_AT = Event("alerts not looked at", WARNING, "The database was away.")
ALERTS_NOT_SENT = Event("alerts not sent", WARNING, "The same as notices were due.")

# ---- shipped handlers ----------------------------------------------------------------------------

MAIL_REFUSED = Event("mail refused", WARNING, "Counts of a mail server's answers.")
CHANNEL_FAILED = Event("channel failed", ERROR, "Of a notification; the next has its turn.")
FILE_NOT_PROCESSED = Event("file not processed yet", WARNING, "A tool failed; tried again.")
EXPORT_NOT_REMOVED = Event("export not removed", WARNING, "A storage failed; tried again.")
EXPORT_NOT_ANNOUNCED = Event("export not announced", WARNING, "No store took the notification.")
CLEANUP_BROKEN_OFF = Event("cleanup broken off", WARNING, "A task raised; the others go on.")
CACHE_NOT_WARMED = Event("cache not warmed", WARNING, "A loader failed for a key.")

EVENTS = tuple(thing for thing in list(vars().values()) if isinstance(thing, Event))
