"""What a caller says of a job holds in either store, and so do the defaults of its queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings
from rq import RateLimit
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer, resolve_serializer

from django_resilient_queue import Priority, get_job, get_queue
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.queues import ResilientQueue
from example_project.servers import RedisServer
from tests.enqueueing import (
    HOUR,
    ids,
    job_hash,
    queue,
    row_ids,
    row_of,
    scheduled,
    waiting,
)
from tests.jobs import fail, succeed

pytestmark = pytest.mark.django_db(transaction=True)


# ---- times ------------------------------------------------------------------------------------


@pytest.mark.parametrize("aware", [True, False])
def test_a_time_is_read_as_rq_reads_it(redis_server: RedisServer, aware: bool) -> None:
    when = datetime(2031, 7, 8, 9, 10, 11, 900_000, tzinfo=UTC if aware else None)
    ours = queue().enqueue_at(when, succeed)
    theirs = Queue("default", connection=queue().connection).enqueue_at(when, succeed)
    due = scheduled(redis_server)
    assert due[ours.id] == due[theirs.id] == row_of(ours).due_at.timestamp()


def test_a_scheduled_job_is_not_called_enqueued_yet(redis_server: RedisServer) -> None:
    job = queue().enqueue_in(HOUR, succeed)
    assert job.enqueued_at is None
    assert job.get_status() == "scheduled"


# ---- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [False, True])
def test_a_job_for_the_front_goes_there_in_either_store(
    redis_server: RedisServer, away: bool
) -> None:
    if away:
        redis_server.kill()
    prepare = ResilientQueue.prepare_data
    one = queue().enqueue(succeed, 1)
    two = queue().enqueue(succeed, 2, at_front=True)
    three, four = queue().enqueue_many(
        [prepare(succeed, (3,), at_front=True), prepare(succeed, (4,))]
    )
    if not away:
        assert waiting(redis_server) == ids([three, two, one, four])
    in_order = FallbackJob.objects.in_claim_order().values_list("job_id", flat=True)
    assert list(in_order) == ids([two, three, one, four])


@pytest.mark.parametrize(
    ("priority", "name"),
    [
        (Priority.CRITICAL, "critical"),
        (Priority.HIGH, "high"),
        (Priority.NORMAL, "default"),
        (Priority.LOW, "low"),
        (20, "critical"),
        (14, "high"),
        (9, "default"),
        (4, "low"),
    ],
)
def test_a_priority_chooses_the_queue(redis_server: RedisServer, priority: int, name: str) -> None:
    job = get_queue(priority=priority).enqueue(succeed)
    assert row_of(job).queue_name == name


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"priority": 21}, "a priority is between 1 and 20, not 21"),
        ({"priority": 0}, "a priority is between 1 and 20, not 0"),
        ({"name": "low", "priority": 5}, "by its name or by a priority, not by both"),
    ],
)
def test_a_priority_that_makes_no_sense_is_refused(chosen: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        get_queue(**chosen)


def test_a_limited_function_gets_its_limit_however_it_is_enqueued(
    redis_server: RedisServer, settings: Settings
) -> None:
    limits = {"tests.jobs.succeed": 2}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "CONCURRENCY_LIMITS": limits}
    prepare = ResilientQueue.prepare_data
    limited = [
        queue().enqueue(succeed),
        *queue().enqueue_many([prepare(succeed)]),
        queue().enqueue_in(timedelta(hours=1), succeed),
    ]
    for job in limited:
        row = row_of(job)
        assert (row.rate_limit_key, row.rate_limit_concurrency) == ("tests.jobs.succeed", 2)
    own = row_of(queue().enqueue(succeed, rate_limit=RateLimit("own", 1)))
    assert own.rate_limit_key == "own"
    assert row_of(queue().enqueue(fail)).rate_limit_key == ""


def test_a_unique_job_of_a_limited_function_is_refused_by_the_name_of_the_setting(
    redis_server: RedisServer, settings: Settings
) -> None:
    limits = {"tests.jobs.succeed": 2}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "CONCURRENCY_LIMITS": limits}
    with pytest.raises(ValueError, match=r"\['CONCURRENCY_LIMITS'\] limits tests.jobs.succeed"):
        queue().enqueue(succeed, job_id="one", unique=True)
    with pytest.raises(ValueError, match=r"not supported with rate-limited jobs$"):
        queue().enqueue(succeed, job_id="one", unique=True, rate_limit=RateLimit("own", 1))
    assert not FallbackJob.objects.exists()


def test_a_jobs_time_to_live_counts_in_redis_and_travels_with_the_row(
    redis_server: RedisServer,
) -> None:
    job = queue().enqueue(succeed, ttl=900)
    with redis_server.client() as client:
        assert 600 <= client.ttl(f"rq:job:{job.id}") <= 900
    redis_server.kill()
    stored = JobSnapshot.load(bytes(row_of(queue().enqueue(succeed, ttl=900)).payload))
    assert stored.number("ttl") == 900


def test_the_defaults_of_a_queue_hold(redis_server: RedisServer, settings: Settings) -> None:
    settings.RQ_QUEUES = {
        "default": {**settings.RQ_QUEUES["default"], "DEFAULT_TIMEOUT": 7, "DEFAULT_RESULT_TTL": 9}
    }
    redis_server.kill()
    job = queue().enqueue_call(succeed)
    stored = JobSnapshot.load(bytes(row_of(job).payload))
    assert (stored.timeout, stored.number("result_ttl")) == (7, 9)


@pytest.mark.parametrize("away", [False, True])
def test_a_json_queue_stores_no_pickle(
    redis_server: RedisServer, settings: Settings, away: bool
) -> None:
    settings.RQ_QUEUES = {
        "default": {**settings.RQ_QUEUES["default"], "SERIALIZER": "rq.serializers.JSONSerializer"}
    }
    if away:
        redis_server.kill()
    job = queue().enqueue(succeed, {"ü": [1, None]}, meta={"a": 1})
    snapshot = JobSnapshot.load(bytes(row_of(job).payload))
    again = snapshot.to_job(Job, job.connection, resolve_serializer(JSONSerializer))
    assert (again.args, again.meta) == ([{"ü": [1, None]}], {"a": 1})
    assert snapshot.fields["meta"] == b'{"a": 1}'
    found = get_job(job.id)
    assert found is not None
    assert found.meta == {"a": 1}


@pytest.mark.parametrize("away", [False, True])
def test_a_queue_that_the_outbox_does_not_cover_has_rows_only_during_an_outage(
    redis_server: RedisServer, settings: Settings, away: bool
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": {"low": False}}
    if away:
        redis_server.kill()
    covered, uncovered = queue("high").enqueue(succeed), queue("low").enqueue(succeed)
    assert row_ids() == (ids([covered, uncovered]) if away else [covered.id])


def test_many_jobs_for_one_row_each_may_reuse_ids(redis_server: RedisServer) -> None:
    queue().enqueue(succeed, 1, job_id="a")
    prepare = ResilientQueue.prepare_data
    queue().enqueue_many([prepare(succeed, (n,), job_id=n) for n in "abc"])
    assert waiting(redis_server) == ["a", "b", "c"]
    assert sorted(row_ids()) == ["a", "b", "c"]


def test_many_jobs_with_one_id_are_refused_as_in_rq(redis_server: RedisServer) -> None:
    prepare = ResilientQueue.prepare_data
    with pytest.raises(ValueError, match="more than once"):
        queue().enqueue_many([prepare(succeed, job_id="a"), prepare(succeed, job_id="a")])
    assert row_ids() == []


def test_many_jobs_carry_their_group(redis_server: RedisServer) -> None:
    prepare = ResilientQueue.prepare_data
    (job,) = queue().enqueue_many([prepare(succeed)], group_id="group")
    assert job_hash(redis_server, job.id)["group_id"] == b"group"
