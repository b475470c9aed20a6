"""What the tests of enqueueing share: every way in, the ways for a store to be away, and a look."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import django_rq
import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings
from rq.job import Job

import django_resilient_queue
from django_resilient_queue.health import asking
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.queues import ResilientQueue
from django_resilient_queue.stores import links
from example_project.servers import RedisServer
from example_project.servers.ports import ReservedPort
from tests.conftest import reset_process_state
from tests.jobs import succeed

AWAY = ("killed", "frozen")
HOUR = timedelta(hours=1)


def queue(name: str = "default", **options: Any) -> ResilientQueue:
    """The queue that django-rq itself makes of the settings."""
    return cast(ResilientQueue, django_rq.get_queue(name, **options))


def _by_decorator() -> list[Job]:
    @django_rq.job("default")
    def task() -> None: ...

    decorated = cast(Any, task)
    decorated.__module__, decorated.__qualname__ = succeed.__module__, succeed.__qualname__
    return [decorated.delay(1)]


def _many() -> list[Job]:
    prepare = ResilientQueue.prepare_data
    return queue().enqueue_many([prepare(succeed, (n,)) for n in range(3)])


WAYS: Mapping[str, Callable[[], list[Job]]] = {
    "django_rq.enqueue": lambda: [django_rq.enqueue(succeed, 1)],
    "delay": _by_decorator,
    "enqueue": lambda: [queue().enqueue(succeed, 1)],
    "enqueue_call": lambda: [queue().enqueue_call(succeed, args=(1,))],
    "enqueue_in": lambda: [queue().enqueue_in(HOUR, succeed, 1)],
    "enqueue_at": lambda: [queue().enqueue_at(datetime.now(UTC) + HOUR, succeed, 1)],
    "enqueue_many": _many,
    "enqueue_job": lambda: [queue().enqueue_job(queue().create_job(succeed, args=(1,)))],
    "our enqueue": lambda: [django_resilient_queue.enqueue(succeed, 1)],
    "our get_queue": lambda: [django_resilient_queue.get_queue("default").enqueue(succeed, 1)],
}
SCHEDULING = ("enqueue_in", "enqueue_at")


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def stores(jobs: list[Job]) -> set[str]:
    """What the returned jobs say of where they are."""
    return {cast(Any, job).backend for job in jobs}


def take_away(redis_server: RedisServer, how: str) -> None:
    """No connection is answered from now on: the kernel refuses it, or nobody reads from it."""
    if how == "killed":
        redis_server.kill()
    else:
        redis_server.freeze()


def bring_back(redis_server: RedisServer, how: str) -> None:
    """Undo what `take_away` did; what was killed comes back empty."""
    if how == "killed":
        redis_server.start()
    else:
        redis_server.thaw()


def waiting(redis_server: RedisServer, name: str = "default") -> list[str]:
    """The ids in a queue's list, first to last."""
    with redis_server.client() as client:
        return [each.decode() for each in client.lrange(f"rq:queue:{name}", 0, -1)]


def scheduled(redis_server: RedisServer, name: str = "default") -> dict[str, float]:
    """The ids in a queue's registry of scheduled jobs, and when they are due."""
    with redis_server.client() as client:
        return {
            each.decode(): due
            for each, due in client.zrange(f"rq:scheduled:{name}", 0, -1, withscores=True)
        }


def job_hash(redis_server: RedisServer, job_id: str) -> dict[str, bytes]:
    """What Redis holds of a job, by field."""
    with redis_server.client() as client:
        return {name.decode(): value for name, value in client.hgetall(f"rq:job:{job_id}").items()}


def unprotected(redis_server: RedisServer) -> set[str]:
    """The ids that Redis lists as jobs without a row."""
    with redis_server.client() as client:
        return {each.decode() for each in client.smembers("drq:unprotected")}


def is_empty(redis_server: RedisServer) -> bool:
    """Whether Redis holds no job, in no list: our own notes do not count."""
    with redis_server.client() as client:
        return not [key for key in client.keys("*") if key.startswith(b"rq:")]


def row_of(job: Job | str) -> FallbackJob:
    return FallbackJob.objects.get(job_id=job if isinstance(job, str) else job.id)


def row_ids() -> list[str]:
    return list(FallbackJob.objects.order_by("pk").values_list("job_id", flat=True))


@contextmanager
def database_away(settings: Settings) -> Iterator[None]:
    """Our tables are in a database that refuses each connection: no such directory, no listener."""
    port = ReservedPort()
    there = connections["default"].settings_dict
    nowhere = {"PORT": str(port.number)} if there["PORT"] else {"NAME": "/no/db"}
    try:
        with another_database(settings, **nowhere):
            yield
    finally:
        port.release()


@contextmanager
def another_database(settings: Settings, **changes: str) -> Iterator[BaseDatabaseWrapper]:
    """Our tables are in another database than all else, as far as Django knows: the same one, but
    for changes of its settings."""
    before = settings.RESILIENT_QUEUE
    connections.settings["queue"] = {**connections["default"].settings_dict, **changes}
    own = connections["queue"]
    # Django's tests forbid to connect to any alias that they know and did not announce.
    own.alias = "known to nobody"
    settings.RESILIENT_QUEUE = {**before, "DATABASE": "queue"}
    try:
        yield own
    finally:
        settings.RESILIENT_QUEUE = before
        own.close()
        del connections["queue"], connections.settings["queue"]


class _Rollback(Exception):
    """Ends a transaction without a commit."""


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that is never committed."""
    with suppress(_Rollback), transaction.atomic():
        yield
        raise _Rollback


@contextmanager
def round_trips(patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many commands were sent in each round trip over a link of ours."""
    made: list[int] = []
    send = links._send

    def note(connection: Any, commands: Sequence[Sequence[Any]]) -> None:
        made.append(len(commands))
        send(connection, commands)

    with patch.context() as noting:
        noting.setattr(links, "_send", note)
        yield made


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes, whether it returns or raises."""
    began = time.perf_counter()
    try:
        call()
    finally:
        took = time.perf_counter() - began
    return took


def least_seconds(call: Callable[[], object], times: int = 3) -> float:
    """Of some processes that know nothing yet, that which a busy machine has delayed the least.

    What is too slow by itself delays each of them.
    """

    def in_a_new_process() -> float:
        reset_process_state()
        asking._hanging.clear()
        return seconds(call)

    return min(in_a_new_process() for _ in range(times))


def median_seconds(call: Callable[[], object], times: int) -> float:
    return statistics.median(seconds(call) for _ in range(times))
