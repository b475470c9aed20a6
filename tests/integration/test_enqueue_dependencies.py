"""Jobs that wait for others or for a rate limit: rq decides in Redis, the row keeps the facts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction
from rq import RateLimit
from rq.job import Dependency, Job
from rq.queue import Queue

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobState
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.queues import ResilientQueue
from example_project.servers import FaultyProxy, RedisServer
from tests.enqueueing import (
    AWAY,
    ids,
    is_empty,
    job_hash,
    queue,
    rolled_back,
    row_ids,
    row_of,
    seconds,
    stores,
    take_away,
    waiting,
)
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)
each_outage = pytest.mark.parametrize("how", AWAY)
prepare = ResilientQueue.prepare_data
LIMIT = RateLimit(key="mails", concurrency=1)


def deferred(redis_server: RedisServer) -> list[str]:
    with redis_server.client() as client:
        return [each.decode() for each in client.zrange("rq:deferred:default", 0, -1)]


def finish(job: Job) -> None:
    job.set_status("finished")  # type: ignore[arg-type]


# ---- dependencies -----------------------------------------------------------------------------


def test_a_job_with_an_unmet_dependency_waits_in_redis_as_in_rq(redis_server: RedisServer) -> None:
    first = queue().enqueue(succeed)
    second = queue().enqueue(succeed, depends_on=first)
    assert stores([second]) == {"redis"}
    assert waiting(redis_server) == [first.id]
    assert deferred(redis_server) == [second.id]
    assert second.get_status() == "deferred"
    assert first.dependent_ids == [second.id]
    assert job_hash(redis_server, second.id)["drq_generation"].decode() == row_of(second).generation


def test_rq_enqueues_it_when_its_dependency_is_met(redis_server: RedisServer) -> None:
    first = queue().enqueue(succeed)
    second = queue().enqueue(succeed, depends_on=first)
    finish(first)
    queue().enqueue_dependents(first)
    assert waiting(redis_server) == ids([first, second])
    assert job_hash(redis_server, second.id)["drq_generation"].decode() == row_of(second).generation


@pytest.mark.parametrize("front", [True, False])
def test_a_job_whose_dependency_is_met_is_enqueued_at_once(
    redis_server: RedisServer, front: bool
) -> None:
    first = queue().enqueue(succeed)
    finish(first)
    second = queue().enqueue(succeed, depends_on=first, at_front=front)
    assert waiting(redis_server) == ids([second, first] if front else [first, second])
    assert second.get_status() == "queued"


def test_a_failed_dependency_counts_as_met_where_the_job_allows_it(
    redis_server: RedisServer,
) -> None:
    first = queue().enqueue(succeed)
    first.set_status("failed")  # type: ignore[arg-type]
    strict = queue().enqueue(succeed, depends_on=first)
    lenient = queue().enqueue(succeed, depends_on=Dependency([first], allow_failure=True))
    assert waiting(redis_server) == ids([first, lenient])
    assert deferred(redis_server) == [strict.id]


@each_outage
def test_with_redis_away_a_job_with_a_dependency_waits_in_the_table_and_says_so(
    redis_server: RedisServer, how: str
) -> None:
    first = queue().enqueue(succeed)
    take_away(redis_server, how)
    second = queue().enqueue(succeed, depends_on=first)
    assert stores([second]) == {"database"}
    assert row_of(second).waits_for == "dependencies"
    assert JobSnapshot.load(bytes(row_of(second).payload)).dependency_ids == [first.id]
    found = get_job(second.id)
    assert found is not None
    assert found.state is JobState.DELAYED


def test_many_jobs_may_depend_on_each_other(redis_server: RedisServer) -> None:
    jobs = queue().enqueue_many(
        [
            prepare(succeed, job_id="b", depends_on="a"),
            prepare(succeed, job_id="a"),
            prepare(succeed, job_id="c", depends_on="a", at_front=True),
        ]
    )
    assert ids(jobs) == ["a", "b", "c"]
    assert waiting(redis_server) == ["a"]
    assert deferred(redis_server) == ["b", "c"]
    assert sorted(row_ids()) == ["a", "b", "c"]


def test_of_many_jobs_one_whose_dependency_is_met_may_go_to_the_front_as_in_rq(
    redis_server: RedisServer,
) -> None:
    first = queue().enqueue(succeed)
    finish(first)
    front = prepare(succeed, job_id="front", depends_on=Dependency([first], enqueue_at_front=True))
    queue().enqueue_many([front])
    plain = Queue("high", connection=queue().connection)
    theirs = plain.enqueue(succeed)
    plain.enqueue_many([front._replace(job_id="theirs")])
    assert waiting(redis_server) == ["front", first.id]
    assert waiting(redis_server, "high") == ["theirs", theirs.id]


@each_outage
def test_many_jobs_that_depend_on_each_other_are_kept_in_the_database(
    redis_server: RedisServer, how: str
) -> None:
    take_away(redis_server, how)
    queue().enqueue_many(
        [prepare(succeed, job_id="a"), prepare(succeed, job_id="b", depends_on="a")]
    )
    assert (row_of("a").waits_for, row_of("b").waits_for) == ("", "dependencies")


def test_in_a_transaction_dependencies_are_looked_at_after_its_commit(
    redis_server: RedisServer,
) -> None:
    with rolled_back():
        queue().enqueue(succeed, depends_on="a")
    assert is_empty(redis_server)
    with transaction.atomic():
        first = queue().enqueue(succeed)
        second = queue().enqueue(succeed, depends_on=first)
        assert is_empty(redis_server)
    assert waiting(redis_server) == [first.id]
    assert deferred(redis_server) == [second.id]


# ---- rate limits ------------------------------------------------------------------------------


def test_a_rate_limit_holds_as_in_rq(redis_server: RedisServer) -> None:
    first = queue().enqueue(succeed, rate_limit=LIMIT)
    second = queue().enqueue(succeed, rate_limit=LIMIT)
    assert stores([first, second]) == {"redis"}
    assert waiting(redis_server) == [first.id]
    assert (first.get_status(), second.get_status()) == ("queued", "rate_limited")
    theirs = Queue("default", connection=queue().connection)
    assert theirs.enqueue(succeed, rate_limit=LIMIT).get_status() == "rate_limited"


@each_outage
def test_with_redis_away_the_row_knows_the_limit(redis_server: RedisServer, how: str) -> None:
    take_away(redis_server, how)
    job = queue().enqueue(succeed, rate_limit=LIMIT)
    row = row_of(job)
    assert stores([job]) == {"database"}
    assert (row.rate_limit_key, row.rate_limit_concurrency, row.waits_for) == ("mails", 1, "")
    assert row.state == State.READY


# ---- rq's part of the way fails ---------------------------------------------------------------


def dependent() -> Job:
    return queue().enqueue(succeed, depends_on="a")


def limited() -> Job:
    return queue().enqueue(succeed, rate_limit=LIMIT)


each_kind = pytest.mark.parametrize("enqueue", [dependent, limited])


@pytest.mark.parametrize(
    ("enqueue", "first_command"), [(dependent, b"WATCH"), (limited, b"rq:queues")]
)
def test_redis_dying_in_rqs_part_leaves_the_row_and_a_copy_that_is_nowhere_yet(
    behind_proxy: FaultyProxy,
    redis_server: RedisServer,
    enqueue: Callable[[], Job],
    first_command: bytes,
) -> None:
    queue().enqueue(succeed, "the script is loaded now", job_id="a")
    behind_proxy.drop_request(first_command)
    job = enqueue()
    assert stores([job]) == {"database"}
    assert (row_of(job).state, row_of(job).redis_copy) == (State.DISPATCHED, True)
    assert job_hash(redis_server, job.id)["status"] == b"created"
    assert waiting(redis_server) == ["a"]


@pytest.mark.alone
@each_kind
def test_rqs_part_is_bounded_as_well(behind_proxy: FaultyProxy, enqueue: Callable[[], Job]) -> None:
    def in_a_black_hole_after_the_push() -> float:
        behind_proxy.pass_through()
        queue().enqueue(succeed, "the script is loaded now", job_id="a")
        behind_proxy.blackhole()
        return seconds(enqueue)

    assert any(in_a_black_hole_after_the_push() <= 0.3 for _ in range(3))


def test_a_programming_error_in_rqs_part_is_raised_and_no_outage(
    redis_server: RedisServer,
) -> None:
    with redis_server.client() as client:
        client.set("rq:deferred:default", "not a sorted set")
    queue().enqueue(succeed, job_id="a")
    with pytest.raises(Exception, match="WRONGTYPE"):
        dependent()
    assert FallbackJob.objects.exclude(job_id="a").count() == 0
