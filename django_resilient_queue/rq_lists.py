"""Jobs by the page out of rq's own lists, for queues whose jobs have no row.

Four round trips a page, whatever lies in Redis: which rate limits there are, how long the lists
are, the ids of the page, and what the list shows of each. Lists move: a job that moves from one to
another between two pages may be seen twice, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django_rq.jobs import get_job_class
from redis import Redis
from rq.rate_limit import RateLimitRegistry

from .exceptions import StoreError
from .job_info import JobInfo, JobState, from_hash
from .jobs import ATTEMPT, GENERATION, JobSnapshot
from .queues import ResilientQueue, get_queue
from .stores.brokers import Broker, broker_of
from .stores.polling import ask_each

LISTED = (JobState.ACTIVE, JobState.WAITING, JobState.DELAYED)  # without a wish
MOST_QUEUES = 500  # of which one page may tell
MOST_LIMITS = 500  # the same of keys of rate limits, of each Redis
# What is shown of a job, or decided by: all but what may be large.
_FIELDS = (
    "status",
    "origin",
    "created_at",
    "enqueued_at",
    "started_at",
    "ended_at",
    "worker_name",
    "group_id",
    "meta",
    ATTEMPT,
    GENERATION,
)
_REGISTRIES = {
    JobState.ACTIVE: ("started_job_registry",),
    JobState.DELAYED: ("scheduled_job_registry", "deferred_job_registry"),
    JobState.COMPLETED: ("finished_job_registry",),
    JobState.CANCELLED: ("canceled_job_registry",),
}
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """A job in one of the lists. The payload of ``info.job`` was not asked for, and is empty."""

    info: JobInfo
    created_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ListPage:
    """Jobs, and the place in all the lists where the next page begins, None at their end."""

    jobs: Sequence[Listed]
    next_start: int | None


@dataclass(frozen=True, slots=True)
class _List:
    """One list of rq's: that of a queue, one of its registries, or that of a rate limit."""

    broker: Broker
    connection: Redis
    key: str
    is_registry: bool

    def count(self) -> tuple[str, ...]:
        return ("ZCARD" if self.is_registry else "LLEN", self.key)

    def part(self, start: int, stop: int) -> tuple[Any, ...]:
        """From the end on, where the newest jobs are; *stop* is the first that is left out."""
        if self.is_registry:
            return ("ZREVRANGE", self.key, start, stop - 1)
        return ("LRANGE", self.key, -stop, -start - 1)

    def ids(self, found: Sequence[bytes]) -> list[str]:
        """Read them; an entry of a running job ends with its execution."""
        names = [each.decode("utf-8", "replace").partition(":")[0] for each in found]
        return names if self.is_registry else names[::-1]


def jobs_in_redis(
    queue_names: Sequence[str], states: Sequence[JobState], start: int, count: int
) -> ListPage:
    """Return up to *count* jobs from the place *start* on: queue by queue and state by state, in
    each the newest, or the latest due, first; then those that wait for a rate limit.

    Raises StoreRefused or StoreAmbiguous when a Redis is away.
    """
    names = queue_names[:MOST_QUEUES]
    lists = list(_lists(names, states))
    if JobState.DELAYED in states:
        lists += _of_rate_limits(lists)
    lengths = _ask([(each, each.count()) for each in lists])
    asked, place, left = [], start, count
    for each, answer in zip(lists, lengths, strict=True):
        length = answer if isinstance(answer, int) else 0  # a key of another kind holds no job
        taken = max(0, min(left, length - place))
        if taken:
            asked.append((each, each.part(place, place + taken)))
        place, left = max(0, place - length), left - taken
    total = sum(each for each in lengths if isinstance(each, int))
    end = start + count
    jobs = [each for each in _jobs(asked) if each.info.queue_name in names]
    return ListPage(jobs, end if end < total else None)


def _lists(queue_names: Sequence[str], states: Sequence[JobState]) -> Iterator[_List]:
    for name in queue_names:
        queue = get_queue(name)
        connection, broker = queue.connection, broker_of(queue.connection)
        for state in states:
            if state is JobState.WAITING:
                yield _List(broker, connection, queue.key, is_registry=False)
            for key in _registry_keys(queue, state):
                yield _List(broker, connection, key, is_registry=True)


def _of_rate_limits(lists: Sequence[_List]) -> Iterator[_List]:
    """The sets of each Redis in which jobs wait for a rate limit, of whichever queue."""
    brokers = list({id(each.broker): each for each in lists}.values())
    count = ("SSCAN", RateLimitRegistry.rl_keys_key, "0", "COUNT", str(MOST_LIMITS))
    for each, answer in zip(brokers, _ask([(each, count) for each in brokers]), strict=True):
        keys = answer[1] if isinstance(answer, list) else ()
        for key in sorted(keys)[:MOST_LIMITS]:
            waiting = RateLimitRegistry(key.decode("utf-8", "replace"), each.connection)
            yield replace(each, key=waiting.rate_limited_key, is_registry=True)


def _registry_keys(queue: ResilientQueue, state: JobState) -> Iterator[str]:
    for name in _REGISTRIES.get(state, ()):
        yield getattr(queue, name).key


def _jobs(asked: Sequence[tuple[_List, tuple[Any, ...]]]) -> list[Listed]:
    found = [
        (each, job_id)
        for (each, _), ids in zip(asked, _ask(asked), strict=True)
        if isinstance(ids, list)
        for job_id in each.ids(ids)
    ]
    key_for = get_job_class(None).key_for
    in_registries = [(each, job_id) for each, job_id in found if each.is_registry]
    answers = _ask(
        [
            *((each, ("HMGET", key_for(job_id), *_FIELDS)) for each, job_id in found),
            *((each, ("ZSCORE", each.key, job_id)) for each, job_id in in_registries),
        ]
    )
    scores = iter(answers[len(found) :])
    told = [
        (each, job_id, values, next(scores) if each.is_registry else None)
        for (each, job_id), values in zip(found, answers[: len(found)], strict=True)
    ]
    return [_listed(*each) for each in told if isinstance(each[2], list) and each[2][0] is not None]


def _listed(where: _List, job_id: str, values: Sequence[bytes | None], score: Any) -> Listed:
    fields = {
        name.encode(): value
        for name, value in zip(_FIELDS, values, strict=True)
        if value is not None
    }
    info = from_hash(job_id, {**fields, b"data": b""}, where.connection)
    snapshot = JobSnapshot.from_hash(job_id, info.queue_name, fields)
    created = snapshot.time("created_at") or snapshot.time("enqueued_at") or _LONG_AGO
    due = snapshot.time("enqueued_at") or created
    if snapshot.text("status") == "scheduled" and isinstance(score, bytes):
        due = datetime.fromtimestamp(float(score), UTC)
    return Listed(info, created, due)


def _ask(questions: Sequence[tuple[_List, tuple[Any, ...]]]) -> list[Any]:
    """Ask each Redis once; answers in the order of the questions."""
    answers: list[Any] = [None] * len(questions)
    places: dict[Broker, list[int]] = {}
    for i, (each, _) in enumerate(questions):
        places.setdefault(each.broker, []).append(i)

    def ask(broker: Broker) -> list[Any]:
        return broker.link.call_all([questions[i][1] for i in places[broker]])

    for broker, found in ask_each(list(places), ask):
        if isinstance(found, StoreError):
            raise found
        for i, answer in zip(places[broker], found, strict=True):
            answers[i] = answer
    return answers
