"""What can't be accepted is refused whole: bad input, a duplicate, a job that no store takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connections, transaction
from pytest_django import Settings
from rq.exceptions import DuplicateJobError
from rq.job import Job

import django_resilient_queue
from django_resilient_queue.exceptions import EnqueueUncertain, StoresUnavailableError
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.queues import ResilientQueue
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.conftest import reset_process_state
from tests.enqueueing import (
    AWAY,
    HOUR,
    WAYS,
    database_away,
    ids,
    is_empty,
    job_hash,
    least_seconds,
    queue,
    row_ids,
    row_of,
    scheduled,
    seconds,
    stores,
    take_away,
    unprotected,
    waiting,
)
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)
each_way = pytest.mark.parametrize("way", WAYS)
each_outage = pytest.mark.parametrize("how", AWAY)
prepare = ResilientQueue.prepare_data


def unserialisable() -> object:
    return lambda: None


BAD_INPUT: dict[str, Callable[[], object]] = {
    "enqueue": lambda: queue().enqueue(succeed, unserialisable()),
    "our enqueue": lambda: django_resilient_queue.enqueue(succeed, unserialisable()),
    "meta": lambda: queue().enqueue(succeed, meta={"a": unserialisable()}),
    "enqueue_in": lambda: queue().enqueue_in(HOUR, succeed, unserialisable()),
    "last of many": lambda: queue().enqueue_many(
        [prepare(succeed, (1,)), prepare(succeed, (unserialisable(),))]
    ),
    "one of many, not for the front": lambda: queue().enqueue_many(
        [prepare(succeed, (1,), at_front=True), prepare(succeed, (unserialisable(),))]
    ),
    "a dependent of many": lambda: queue().enqueue_many(
        [
            prepare(succeed, (1,), job_id="a"),
            prepare(succeed, (unserialisable(),), depends_on="a"),
        ]
    ),
    "a dependent": lambda: queue().enqueue(succeed, unserialisable(), depends_on="a"),
}


@contextmanager
def circuit_open(redis_server: RedisServer, settings: Settings) -> Iterator[None]:
    """The circuit of this process is open, though Redis would answer."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "FAILURE_THRESHOLD": 1}
    redis_server.kill()
    assert stores([queue().enqueue(succeed, job_id="opened-it")]) == {"database"}
    redis_server.start()
    FallbackJob.objects.all().delete()
    yield
    assert is_empty(redis_server)


# ---- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", BAD_INPUT)
def test_an_unserialisable_argument_raises_before_anything_is_written(
    redis_server: RedisServer, what: str
) -> None:
    with pytest.raises(Exception, match="pickle"):
        BAD_INPUT[what]()
    assert is_empty(redis_server)
    assert row_ids() == []


@pytest.mark.parametrize("what", BAD_INPUT)
def test_it_raises_while_the_circuit_is_open_as_well(
    redis_server: RedisServer, settings: Settings, what: str
) -> None:
    with circuit_open(redis_server, settings):
        with pytest.raises(Exception, match="pickle"):
            BAD_INPUT[what]()
        assert row_ids() == []


@pytest.mark.parametrize("what", BAD_INPUT)
def test_it_raises_at_the_call_and_not_at_the_commit(redis_server: RedisServer, what: str) -> None:
    with transaction.atomic(), pytest.raises(Exception, match="pickle"):
        BAD_INPUT[what]()
    assert is_empty(redis_server)
    assert row_ids() == []


@pytest.mark.parametrize(
    "options",
    [{"unique": True}, {"unique": True, "job_id": "a", "depends_on": "b"}, {"job_timeout": 0}],
)
def test_options_that_rq_refuses_are_refused_as_by_rq(
    redis_server: RedisServer, options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"unique=True|timeout"):
        queue().enqueue(succeed, **options)
    assert row_ids() == []


# ---- unique -----------------------------------------------------------------------------------


def in_time(**options: object) -> Job:
    return queue().enqueue(succeed, unique=True, job_id="only", **options)


def in_an_hour() -> Job:
    return queue().enqueue_in(HOUR, succeed, unique=True, job_id="only")


each_unique = pytest.mark.parametrize("enqueue", [in_time, in_an_hour])


@pytest.mark.parametrize("outbox", [True, False])
@each_unique
def test_a_second_unique_job_is_a_duplicate(
    redis_server: RedisServer, settings: Settings, outbox: bool, enqueue: Callable[[], Job]
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    enqueue()
    rows = row_ids()
    with pytest.raises(DuplicateJobError):
        enqueue()
    assert [*waiting(redis_server), *scheduled(redis_server)] == ["only"]
    assert row_ids() == rows


@pytest.mark.parametrize("outbox", [True, False])
@each_unique
def test_a_second_unique_job_is_a_duplicate_while_the_circuit_is_open(
    redis_server: RedisServer, settings: Settings, outbox: bool, enqueue: Callable[[], Job]
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    with circuit_open(redis_server, settings):
        first = enqueue()
        generation = row_of(first).generation
        with pytest.raises(DuplicateJobError):
            enqueue()
        assert row_of("only").generation == generation


@each_outage
def test_a_second_unique_job_is_a_duplicate_during_an_outage(
    redis_server: RedisServer, how: str
) -> None:
    in_time()
    take_away(redis_server, how)
    with pytest.raises(DuplicateJobError):
        in_time()
    assert row_ids() == ["only"]


def test_what_only_redis_knows_is_a_duplicate_too_and_leaves_no_row(
    redis_server: RedisServer,
) -> None:
    in_time()
    FallbackJob.objects.all().delete()  # as when the job has finished, and its result is kept
    before = job_hash(redis_server, "only")
    with pytest.raises(DuplicateJobError):
        in_time()
    assert row_ids() == []
    assert job_hash(redis_server, "only") == before


def test_a_unique_job_may_be_enqueued_again_when_the_first_is_gone(
    redis_server: RedisServer,
) -> None:
    job = in_time()
    job.delete()
    FallbackJob.objects.all().delete()
    assert stores([in_time()]) == {"redis"}


# ---- the database away, Redis there -----------------------------------------------------------


@each_way
def test_with_the_database_away_redis_takes_the_job_and_lists_it_as_unprotected(
    redis_server: RedisServer,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    with database_away(settings), caplog.at_level(logging.WARNING):
        jobs = WAYS[way]()
    assert stores(jobs) == {"redis"}
    assert unprotected(redis_server) == set(ids(jobs))
    assert "jobs unprotected" in caplog.text
    assert row_ids() == []


def test_a_job_with_a_row_is_not_listed_as_unprotected(redis_server: RedisServer) -> None:
    queue().enqueue(succeed)
    assert unprotected(redis_server) == set()


def test_a_database_server_that_dies_costs_no_job(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    before = queue().enqueue(succeed, 1)
    database_server.kill()
    jobs = [queue().enqueue(succeed, 2), queue().enqueue(succeed, 3)]
    assert stores(jobs) == {"redis"}
    database_server.start()
    after = queue().enqueue(succeed, 4)
    assert unprotected(redis_server) == set(ids(jobs))
    assert row_ids() == ids([before, after])
    assert waiting(redis_server) == ids([before, *jobs, after])


def test_a_database_server_that_was_restarted_meanwhile_costs_no_row(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    queue().enqueue(succeed, 1)
    database_server.stop()
    database_server.start()
    job = queue().enqueue(succeed, 2)
    assert unprotected(redis_server) == set()
    assert row_of(job).state == State.DISPATCHED


# ---- both away --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "outbox"), [*((way, True) for way in WAYS), ("enqueue", False), ("enqueue_in", False)]
)
def test_with_both_stores_away_the_job_is_refused_naming_both_causes(
    redis_server: RedisServer, settings: Settings, way: str, outbox: bool
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    redis_server.kill()
    with database_away(settings), pytest.raises(StoresUnavailableError) as caught:
        WAYS[way]()
    words = str(caught.value)
    assert "Redis: ConnectionError" in words
    assert "database: OperationalError" in words
    assert caught.value.job_id in words
    redis_server.start()
    assert is_empty(redis_server)
    assert row_ids() == []


@pytest.mark.alone
@each_outage
def test_the_refusal_comes_within_a_second(
    redis_server: RedisServer, settings: Settings, how: str
) -> None:
    take_away(redis_server, how)

    def enqueue() -> None:
        with pytest.raises(StoresUnavailableError):
            queue().enqueue(succeed)

    def longest_of_six() -> float:
        reset_process_state()
        return max(seconds(enqueue) for _ in range(6))

    with database_away(settings):
        assert min(longest_of_six() for _ in range(3)) < 1


@pytest.mark.alone
def test_both_servers_killed_refuse_within_a_second_and_accept_nothing(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    connections["default"].close()
    redis_server.kill()
    database_server.kill()

    def enqueue() -> None:
        with pytest.raises(StoresUnavailableError):
            queue().enqueue(succeed)

    assert least_seconds(enqueue) < 1
    redis_server.start()
    database_server.start()
    assert is_empty(redis_server)
    assert row_ids() == []


# ---- one refuses, one may have taken it -------------------------------------------------------


@pytest.mark.parametrize("outbox", [True, False])
def test_a_lost_reply_with_the_database_away_is_uncertain_and_enqueueing_again_is_safe(
    behind_proxy: FaultyProxy, redis_server: RedisServer, settings: Settings, outbox: bool
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    queue().enqueue(succeed, "the script is loaded now", job_id="first")
    behind_proxy.drop_reply(b"EVALSHA", times=1)
    with database_away(settings), pytest.raises(EnqueueUncertain) as caught:
        queue().enqueue(succeed, 1)
    job_id = caught.value.job_id
    assert job_id in str(caught.value)
    assert waiting(redis_server) == ["first", job_id]

    again = queue().enqueue(succeed, 1, job_id=job_id)
    assert stores([again]) == {"redis"}
    assert waiting(redis_server) == ["first", job_id]
    generation = job_hash(redis_server, job_id)["drq_generation"].decode()
    rows = FallbackJob.objects.filter(job_id=job_id).values_list("generation", flat=True)
    assert list(rows) == ([generation] if outbox else [])


def test_enqueueing_again_is_safe_as_well_when_the_first_try_never_arrived(
    behind_proxy: FaultyProxy, redis_server: RedisServer, settings: Settings
) -> None:
    queue().enqueue(succeed, "the script is loaded now", job_id="first")
    behind_proxy.drop_request(b"EVALSHA", times=1)
    with database_away(settings), pytest.raises(EnqueueUncertain) as caught:
        queue().enqueue(succeed, 1)
    queue().enqueue(succeed, 1, job_id=caught.value.job_id)
    assert waiting(redis_server) == ["first", caught.value.job_id]


def test_enqueueing_again_may_end_in_the_database_without_a_double(
    behind_proxy: FaultyProxy, redis_server: RedisServer, settings: Settings
) -> None:
    queue().enqueue(succeed, "the script is loaded now", job_id="first")
    behind_proxy.drop_reply(b"EVALSHA")
    with database_away(settings), pytest.raises(EnqueueUncertain) as caught:
        queue().enqueue(succeed, 1)
    again = queue().enqueue(succeed, 1, job_id=caught.value.job_id)
    assert (row_of(again).state, row_of(again).redis_copy) == (State.DISPATCHED, True)
    assert waiting(redis_server) == ["first", again.id]


def test_a_row_whose_insert_got_no_answer_is_uncertain_while_redis_refuses(
    redis_server: RedisServer, database_server: ServerProcess, settings: Settings
) -> None:
    redis_server.kill()
    with FaultyProxy(database_server.host, database_server.port) as proxy:
        there = {**connections["default"].settings_dict, "PORT": str(proxy.port)}
        connections.settings["default"], before = there, connections.settings["default"]
        connections["default"].close()
        del connections["default"]
        try:
            proxy.drop_reply(b"INSERT")
            with pytest.raises(EnqueueUncertain) as caught:
                queue().enqueue(succeed, 1)
            proxy.pass_through()
            reset_process_state()
            queue().enqueue(succeed, 1, job_id=caught.value.job_id)
            assert row_ids() == [caught.value.job_id]
        finally:
            connections["default"].close()
            del connections["default"]
            connections.settings["default"] = before
