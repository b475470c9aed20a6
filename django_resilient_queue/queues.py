"""The front door: `ResilientQueue`, which django-rq uses wherever it makes a queue.

Everything that enters, enters here. django-rq's own functions keep their meaning; the seam is
where rq has a job in hand: `enqueue_job`, `schedule_job` and `enqueue_many`.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime
from typing import Any, cast

import django_rq
from django_rq.queues import DjangoRQ
from django_rq.settings import get_queues_map
from redis import exceptions as redis_errors
from redis.client import Pipeline
from rq.job import Job, JobStatus
from rq.queue import EnqueueData, Queue
from rq.utils import now

from . import instruments
from .conf import HIGHEST_PRIORITY, LOWEST_PRIORITY, settings
from .context import current, origin
from .exceptions import StoreAmbiguous
from .handlers.performing import PERFORM
from .handlers.registry import registry
from .intake import Intake, Request
from .job_info import JobInfo, find_job
from .jobs import DISCARD, HELD, JobSnapshot
from .stores import brokers, measures
from .stores.brokers import broker_of
from .stores.keys import Keys
from .stores.pushes import BACK, FRONT, NOWHERE, Answer, Push

__all__ = ["JobInfo", "ResilientQueue", "get_job", "get_queue", "reset"]


class ResilientQueue(DjangoRQ):
    """A django-rq queue whose jobs are accepted while Redis is away.

    A call that passes its own ``pipeline``, and a queue with ``ASYNC: False``, go rq's way
    untouched. Returned jobs carry ``backend``: ``"redis"`` or ``"database"``.
    """

    def enqueue_call(self, *args: Any, **kwargs: Any) -> Any:
        """Create a job and enqueue it; inside ``atomic()`` the job is returned as well."""
        # Accepted at the end of the request, or run by the caller after its commit, as ever.
        if self._commit_mode == "request_finished" or not self._is_async:
            return super().enqueue_call(*args, **kwargs)
        return self.original_enqueue_call(*args, **kwargs)

    def enqueue_job(
        self,
        job: Job,
        pipeline: Pipeline | None = None,
        at_front: bool = False,
        unique: bool = False,
    ) -> Job:
        """Take a job into a store. Raises what `Intake.accept` raises, ValueError as rq does."""
        if pipeline is not None or not self._is_async:
            return super().enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        self._limit(job)
        self._check_options(job, unique=unique)
        with instruments.enqueuing(self.name, [job]):
            self._accept([self._request(job, place=FRONT if at_front else BACK, unique=unique)])
        return job

    def schedule_job(
        self,
        job: Job,
        datetime: datetime,
        pipeline: Pipeline | None = None,
        unique: bool = False,
    ) -> Job:
        """Take a job that is due later into a store; a naive time is local, as in rq."""
        if pipeline is not None or not self._is_async:
            return super().schedule_job(job, datetime, pipeline=pipeline, unique=unique)
        self._limit(job)
        self._check_options(job, unique=unique, scheduled=True)
        with instruments.enqueuing(self.name, [job]):
            self._accept([self._request(job, place=_second(datetime), unique=unique)])
        return job

    def enqueue_many(
        self,
        job_datas: Iterable[EnqueueData],
        pipeline: Pipeline | None = None,
        group_id: str | None = None,
    ) -> list[Job]:
        """Take many jobs, those without dependencies in one round trip to each store."""
        datas = list(job_datas)
        if pipeline is not None or not self._is_async:
            return super().enqueue_many(datas, pipeline=pipeline, group_id=group_id)
        _refuse_repeated_ids(datas)
        jobs = [(self._job_of(data, group_id), bool(data.at_front)) for data in datas]
        if jobs:
            with instruments.enqueuing(self.name, [job for job, _ in jobs]):
                self._accept_many(jobs)
        return [job for job, _ in sorted(jobs, key=lambda each: bool(each[0]._dependency_ids))]

    def _accept_many(self, jobs: list[tuple[Job, bool]]) -> None:
        # Serialised here, all of them: a bad argument raises before any of the jobs is accepted.
        requests = [
            self._request(job, place=FRONT if front or job.enqueue_at_front else BACK)
            for job, front in jobs
        ]
        alone = [request for request in requests if request.push_by_rq is None]
        for place in (FRONT, BACK):
            self._accept([request for request in alone if request.place == place])
        for request in requests:
            if request.push_by_rq is not None:
                self._accept([request])

    def schedule_many(self, job_datas: Iterable[EnqueueData], datetime: datetime) -> list[Job]:
        """Take many jobs that are due later, in one round trip to each store."""
        datas = list(job_datas)
        _refuse_repeated_ids(datas)
        jobs = [self._job_of(data, None) for data in datas]
        if not self._is_async:
            return [self.schedule_job(job, datetime) for job in jobs]
        due = _second(datetime)
        if jobs:
            with instruments.enqueuing(self.name, jobs):
                self._accept([self._request(job, place=due) for job in jobs])
        return jobs

    def run_sync(self, job: Job) -> Job:
        """Run a job in its caller (``ASYNC: False``); workers find its death in rq's registry, so
        there has to be something to find."""
        if job.failure_ttl != 0:
            return super().run_sync(job)
        self.connection.hset(job.key, DISCARD, "1")
        job.failure_ttl = int(HELD)
        try:
            return super().run_sync(job)
        finally:
            job.failure_ttl = 0

    # ---- private -------------------------------------------------------------------------------

    @property
    def keys(self) -> Keys:
        """The names of this queue's keys."""
        return Keys(self.job_class.redis_job_namespace_prefix, self.redis_queue_namespace_prefix)

    def _accept(self, requests: list[Request]) -> None:
        intake = Intake(broker_of(self.connection), self.keys)
        intake.accept(requests, commit_first=self._commit_mode == "on_db_commit")

    def _limit(self, job: Job) -> None:
        """Give a job of a limited function or handler its rate limit."""
        limits = settings.CONCURRENCY_LIMITS
        if job.has_rate_limit:
            return
        # Not rq's property: that would unpickle the call of a job that was fetched.
        if job._func_name == PERFORM:
            handler = registry.get(*job.args)
            key, concurrency = handler.rate_limit_key, handler.concurrency
        else:
            key = (job.func_name or "") if limits else ""
            concurrency = limits.get(key)
        if concurrency:
            job.rate_limit_key, job.rate_limit_concurrency = key, concurrency

    def _request(self, job: Job, *, place: str | int, unique: bool = False) -> Request:
        scheduled = isinstance(place, int)
        job.origin = self.name
        if asked := origin(current()):
            # What the caller said goes first; a new dict, for the caller's may be of many jobs.
            job.meta = {**asked, **job.meta}
        job.enqueued_at = job.enqueued_at if scheduled else now()
        if job.timeout is None:
            job.timeout = self._default_timeout
        job._status = JobStatus.SCHEDULED if scheduled else JobStatus.QUEUED
        by_rq = not scheduled and bool(job._dependency_ids or job.has_rate_limit)

        def told(store: str) -> None:
            job.backend = store  # type: ignore[attr-defined]

        return Request(
            JobSnapshot.of(job, queue_name=self.name),
            told,
            place=place,
            unique=unique,
            push_by_rq=self._pusher(job, at_front=place == FRONT) if by_rq else None,
        )

    def _pusher(self, job: Job, *, at_front: bool) -> Callable[[Push], Answer]:
        return lambda push: self.push_by_rq(job, push, at_front=at_front)

    def push_by_rq(self, job: Job, push: Push, *, at_front: bool = False) -> Answer:
        """Push a job that waits for others or for a rate limit: rq alone knows when it may run.

        The hash comes first, through the push script and its guards, marked ``created``: that is
        no place in a queue yet, so a crash before rq's part leaves a job that reconcile finds.
        """
        broker = broker_of(self.connection)
        created = push.snapshot.changed({"status": str.encode(JobStatus.CREATED)})
        first = Push(created, push.version, push.attempt, NOWHERE, push.bare)
        (answer,) = broker.push([first], self.keys)
        if isinstance(answer, Exception):
            raise answer
        if answer.word != "pushed":
            return cast(Answer, answer)
        twin = copy(self)  # rq's part over the bounded connection, not the project's
        twin.connection = job.connection = broker.link.client
        try:
            Queue.enqueue_job(twin, job, at_front=at_front)
        except (redis_errors.RedisError, OSError) as error:
            if "WRONGTYPE" in str(error):  # a programming error is no outage
                raise
            raise StoreAmbiguous(error) from error
        finally:
            job.connection = self.connection
        return cast(Answer, answer)

    def _check_options(self, job: Job, *, unique: bool, scheduled: bool = False) -> None:
        self._check_rate_limit_namespace(job)
        if unique and not job._id:
            raise ValueError("unique=True requires an explicit job_id")
        if unique and not scheduled and job._dependency_ids:
            raise ValueError("unique=True is not supported with job dependencies")
        if unique and not scheduled and job.has_rate_limit:
            raise ValueError(f"unique=True is not supported with rate-limited jobs{_why(job)}")

    def _job_of(self, data: EnqueueData, group_id: str | None) -> Job:
        options = data._asdict()
        options.pop("at_front")
        job = self.create_job(status=JobStatus.QUEUED, group_id=group_id, **options)
        self._limit(job)
        return job


def get_queue(
    name: str | None = None, *, priority: int | None = None, **options: Any
) -> ResilientQueue:
    """Return a queue of ``RQ_QUEUES``, protected also where the project chose another class.

    *priority* (1 to 20) in the place of a *name* chooses, by ``PRIORITIES``, the most urgent queue
    that is not more urgent than that. Without either it is ``"default"``.
    """
    if name is None:
        name = "default" if priority is None else _queue_name_for(priority)
    elif priority is not None:
        raise ValueError("a queue is chosen by its name or by a priority, not by both")
    queue = django_rq.get_queue(name, **options)
    if isinstance(queue, ResilientQueue):
        return queue
    return cast(
        ResilientQueue, django_rq.get_queue(name, **{**options, "queue_class": ResilientQueue})
    )


def _queue_name_for(priority: int) -> str:
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        limits = f"{LOWEST_PRIORITY} and {HIGHEST_PRIORITY}"
        raise ValueError(f"a priority is between {limits}, not {priority}")
    names = sorted(get_queues_map(), key=settings.priority_for)
    fitting = [name for name in names if settings.priority_for(name) <= priority]
    return fitting[-1] if fitting else names[0]


def get_job(job_id: str) -> JobInfo | None:
    """Find a job in either store; None where neither knows it.

    Raises StoresUnavailableError when neither store can be asked.
    """
    return find_job(job_id)


def reset() -> None:
    """Forget circuits, connections and counts; for tests."""
    brokers.reset()
    measures.reset()


def _second(moment: datetime) -> int:
    """Return the second of a moment; a naive one is local, as in rq."""
    aware = moment if moment.tzinfo else moment.astimezone()
    return calendar.timegm(aware.utctimetuple())


def _why(job: Job) -> str:
    """Name the setting that has limited a job which brought no limit of its own."""
    if job.rate_limit_key != job.func_name or job.func_name not in settings.CONCURRENCY_LIMITS:
        return ""
    return (
        f": RESILIENT_QUEUE['CONCURRENCY_LIMITS'] limits {job.func_name};"
        " take it out there, or enqueue without unique"
    )


def _refuse_repeated_ids(datas: list[EnqueueData]) -> None:
    seen = set()
    for data in datas:
        if data.job_id is not None and data.job_id in seen:
            raise ValueError(f"Job ID '{data.job_id}' appears more than once in enqueue_many()")
        seen.add(data.job_id)
