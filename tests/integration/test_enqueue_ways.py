"""Each way into django-rq ends in a store: in Redis while it answers, else in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from django_rq.queues import DjangoRQ
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job
from rq.queue import Queue

from django_resilient_queue import get_job, get_queue
from django_resilient_queue.job_info import JobState
from django_resilient_queue.jobs import OUR_FIELDS, JobSnapshot
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.queues import ResilientQueue
from example_project.servers import RedisServer
from tests.conftest import reset_process_state
from tests.enqueueing import (
    AWAY,
    HOUR,
    SCHEDULING,
    WAYS,
    ids,
    is_empty,
    job_hash,
    queue,
    row_ids,
    row_of,
    scheduled,
    stores,
    take_away,
    waiting,
)
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)
each_way = pytest.mark.parametrize("way", WAYS)
each_outage = pytest.mark.parametrize("how", AWAY)


class OwnQueue(ResilientQueue):
    """A project's own class."""

    redis_queue_namespace_prefix = "rq:queue:own-"


# ---- Redis answers ----------------------------------------------------------------------------


@each_way
def test_with_redis_up_a_job_is_in_redis_and_in_the_outbox(
    redis_server: RedisServer, way: str
) -> None:
    jobs = WAYS[way]()
    assert stores(jobs) == {"redis"}
    found = scheduled(redis_server) if way in SCHEDULING else waiting(redis_server)
    assert list(found) == ids(jobs) == row_ids()
    for row in FallbackJob.objects.all():
        assert (row.state, row.redis_copy, row.version) == (State.DISPATCHED, True, 0)
        assert job_hash(redis_server, row.job_id)["drq_generation"].decode() == row.generation


@each_way
def test_with_the_outbox_off_and_redis_up_no_row_is_written(
    redis_server: RedisServer, settings: Settings, way: str
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": False}
    jobs = WAYS[way]()
    assert stores(jobs) == {"redis"}
    found = scheduled(redis_server) if way in SCHEDULING else waiting(redis_server)
    assert list(found) == ids(jobs)
    assert row_ids() == []


def test_the_hash_in_redis_is_what_rq_would_have_written(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed, 1, job_id="same", meta={"a": 1}, description="ü", ttl=60)
    ours = job_hash(redis_server, "same")
    Job.fetch("same", connection=queue().connection).delete()
    again = Queue("default", connection=queue().connection, default_timeout=600).enqueue(
        succeed, 1, job_id="same", meta={"a": 1}, description="ü", ttl=60
    )
    theirs = job_hash(redis_server, "same")
    moments = {"created_at", "enqueued_at"}
    plain = {name: value for name, value in ours.items() if name not in OUR_FIELDS}
    assert {**plain, **dict.fromkeys(moments, b"")} == {**theirs, **dict.fromkeys(moments, b"")}
    assert (job.origin, job.timeout, job.get_status()) == (
        again.origin,
        again.timeout,
        again.get_status(),
    )


def test_rq_finds_the_job_by_its_own_means(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed, value="x")
    assert queue().job_ids == [job.id]
    assert queue() in Queue.all(connection=queue().connection)
    fetched = Job.fetch(job.id, connection=queue().connection)
    assert (fetched.func, fetched.kwargs) == (succeed, {"value": "x"})


# ---- Redis is away ----------------------------------------------------------------------------


@each_outage
@each_way
def test_with_redis_away_a_job_is_in_the_database(
    redis_server: RedisServer, way: str, how: str
) -> None:
    take_away(redis_server, how)
    jobs = WAYS[way]()
    assert stores(jobs) == {"database"}
    assert row_ids() == ids(jobs)
    assert {row.state for row in FallbackJob.objects.all()} == {State.READY}


@each_way
def test_with_the_outbox_off_and_redis_away_a_job_is_in_the_database(
    redis_server: RedisServer, settings: Settings, way: str
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": False}
    redis_server.kill()
    jobs = WAYS[way]()
    assert stores(jobs) == {"database"}
    assert {row.state for row in FallbackJob.objects.all()} == {State.READY}
    assert row_ids() == ids(jobs)


@each_outage
def test_what_is_in_the_database_is_the_whole_job(redis_server: RedisServer, how: str) -> None:
    take_away(redis_server, how)
    job = queue().enqueue(succeed, {"a": b"\xff"}, meta={"user": 7}, result_ttl=9)
    snapshot = JobSnapshot.load(bytes(row_of(job).payload))
    again = snapshot.to_job(Job, job.connection)
    assert again.to_dict() == job.to_dict()
    assert (again.func, again.args, again.meta) == (succeed, ({"a": b"\xff"},), {"user": 7})


@pytest.mark.parametrize("outbox", [True, False])
def test_a_push_that_may_have_arrived_is_noted_as_a_possible_copy(
    redis_server: RedisServer, settings: Settings, outbox: bool
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    queue().enqueue(succeed, "a connection is open now")
    redis_server.freeze()
    row = row_of(queue().enqueue(succeed, 1))
    assert (row.state, row.redis_copy) == (State.DISPATCHED, True)


def test_a_refused_push_leaves_a_row_that_may_be_executed_at_once(
    redis_server: RedisServer,
) -> None:
    queue().enqueue(succeed, "a connection is open now")
    redis_server.kill()
    first, second = queue().enqueue(succeed, 1), queue().enqueue(succeed, 2)
    assert row_of(second).state == State.READY
    assert not row_of(second).redis_copy
    assert row_of(first).state in (State.READY, State.DISPATCHED)


@each_outage
def test_a_scheduled_job_keeps_its_time_in_the_database(
    redis_server: RedisServer, how: str
) -> None:
    take_away(redis_server, how)
    due = datetime.now(UTC).replace(microsecond=0) + HOUR
    job = queue().enqueue_at(due, succeed)
    assert row_of(job).due_at == due
    assert FallbackJob.objects.ready().due(due - timedelta(seconds=1)).count() == 0
    assert FallbackJob.objects.ready().due(due).count() == 1


# ---- whose queue it is ------------------------------------------------------------------------


@pytest.mark.parametrize("away", [False, True])
def test_a_subclass_of_our_queue_is_covered_with_its_own_keys(
    redis_server: RedisServer, settings: Settings, away: bool
) -> None:
    settings.RQ = {**settings.RQ, "QUEUE_CLASS": OwnQueue}
    if away:
        redis_server.kill()
    job = django_rq.enqueue(succeed, 1)
    assert isinstance(queue(), OwnQueue)
    assert stores([job]) == {"database" if away else "redis"}
    assert row_ids() == [job.id]
    if not away:
        assert waiting(redis_server, "own-default") == [job.id]


def test_our_get_queue_covers_a_project_that_chose_another_class(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RQ = {**settings.RQ, "QUEUE_CLASS": DjangoRQ}
    redis_server.kill()
    assert not isinstance(django_rq.get_queue(), ResilientQueue)
    assert stores([get_queue("high").enqueue(succeed)]) == {"database"}


def test_a_callers_own_pipeline_goes_through_untouched(redis_server: RedisServer) -> None:
    with queue().connection.pipeline() as pipeline:
        prepare = ResilientQueue.prepare_data
        one = queue().enqueue(succeed, 1, pipeline=pipeline)
        queue().enqueue_in(HOUR, succeed, pipeline=pipeline)
        queue().enqueue_many([prepare(succeed, (2,))], pipeline=pipeline)
        assert is_empty(redis_server)
        pipeline.execute()
    assert len(waiting(redis_server)) == 2
    assert len(scheduled(redis_server)) == 1
    assert row_ids() == []
    assert "drq_generation" not in job_hash(redis_server, one.id)


def test_what_a_callers_pipeline_raises_is_the_callers(redis_server: RedisServer) -> None:
    with redis_server.client() as client, client.pipeline() as pipeline:
        job = queue(connection=client).enqueue(succeed, 1, pipeline=pipeline)
        redis_server.kill()
        with pytest.raises(RedisConnectionError):
            pipeline.execute()
    assert not hasattr(job, "backend")
    assert row_ids() == []


def test_a_queue_without_workers_runs_the_job_at_once_and_stores_no_row(
    redis_server: RedisServer,
) -> None:
    job = queue(is_async=False).enqueue(succeed, 7)
    assert job.return_value() == 7
    assert row_ids() == []


def test_a_job_is_found_by_its_id_in_either_store(redis_server: RedisServer) -> None:
    first = queue().enqueue(succeed, 1)
    redis_server.kill()
    reset_process_state()
    second = queue().enqueue(succeed, 2)
    for job in (first, second):
        found: Any = get_job(job.id)
        assert (found.state, found.backend) == (JobState.WAITING, "database")
