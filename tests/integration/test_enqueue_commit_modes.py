"""When a job enters its store: at once, with a transaction, or with the end of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import django_rq
import pytest
from django.core.signals import request_finished
from django.db import transaction
from django_rq import thread_queue
from pytest_django import Settings
from rq.job import Job

from django_resilient_queue.exceptions import StoresUnavailableError
from django_resilient_queue.models import FallbackJob, Outage
from django_resilient_queue.models.fallback_job import State
from example_project.servers import FaultyProxy, RedisServer
from tests.conftest import WaitUntil
from tests.enqueueing import (
    AWAY,
    SCHEDULING,
    WAYS,
    database_away,
    ids,
    is_empty,
    queue,
    rolled_back,
    row_ids,
    row_of,
    scheduled,
    stores,
    take_away,
    unprotected,
    waiting,
)
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)
each_way = pytest.mark.parametrize("way", WAYS)
each_outage = pytest.mark.parametrize("how", AWAY)


@pytest.fixture
def mode(settings: Settings) -> Callable[[str], None]:
    def choose(name: str) -> None:
        settings.RQ = {**settings.RQ, "COMMIT_MODE": name}

    return choose


def everywhere(redis_server: RedisServer, way: str) -> list[str]:
    return list(scheduled(redis_server) if way in SCHEDULING else waiting(redis_server))


# ---- on_db_commit, the default ----------------------------------------------------------------


@each_way
def test_in_a_transaction_the_row_joins_it_and_the_push_waits_for_its_commit(
    redis_server: RedisServer, way: str
) -> None:
    with transaction.atomic():
        jobs = WAYS[way]()
        assert all(isinstance(job, Job) for job in jobs)
        assert row_ids() == ids(jobs)
        assert stores(jobs) == {"database"}
        assert is_empty(redis_server)
    assert everywhere(redis_server, way) == ids(jobs)
    assert stores(jobs) == {"redis"}


@each_way
def test_after_a_rollback_nothing_is_anywhere(redis_server: RedisServer, way: str) -> None:
    with rolled_back():
        WAYS[way]()
    assert is_empty(redis_server)
    assert row_ids() == []


def test_a_savepoint_that_is_rolled_back_takes_its_jobs_along(redis_server: RedisServer) -> None:
    with transaction.atomic():
        kept = queue().enqueue(succeed, 1)
        with rolled_back():
            queue().enqueue(succeed, 2)
    assert waiting(redis_server) == row_ids() == [kept.id]


@pytest.mark.parametrize("outbox", [True, False])
@each_outage
def test_redis_failing_at_the_commit_raises_nothing_and_leaves_the_row(
    redis_server: RedisServer, settings: Settings, how: str, outbox: bool
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
    with transaction.atomic():
        job = queue().enqueue(succeed, 1)
        take_away(redis_server, how)
    assert row_of(job).state == State.READY
    assert stores([job]) == {"database"}


def test_a_reply_lost_at_the_commit_leaves_a_row_with_a_possible_copy(
    behind_proxy: FaultyProxy, redis_server: RedisServer
) -> None:
    queue().enqueue(succeed, "the script is loaded now")
    behind_proxy.drop_reply(b"EVALSHA")
    with transaction.atomic():
        job = queue().enqueue(succeed, 1)
    assert (row_of(job).state, row_of(job).redis_copy) == (State.DISPATCHED, True)
    assert waiting(redis_server)[-1] == job.id


def test_with_the_circuit_open_the_row_is_ready_and_redis_is_not_asked(
    behind_proxy: FaultyProxy, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1}
    behind_proxy.refuse()
    queue().enqueue(succeed, 1)
    behind_proxy.pass_through()
    with transaction.atomic():
        job = queue().enqueue(succeed, 2)
    assert (row_of(job).state, row_of(job).redis_copy) == (State.READY, False)
    assert behind_proxy.connections_made == 0


def test_a_circuit_that_opens_before_the_commit_leaves_the_row_ready(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1}
    with transaction.atomic():
        job = queue().enqueue(succeed, 1)
        redis_server.kill()
        queue(commit_mode="auto").enqueue(succeed, 2)
    assert (row_of(job).state, row_of(job).redis_copy) == (State.READY, False)


def test_a_producer_that_only_works_in_transactions_finds_out_that_redis_is_back(
    behind_proxy: FaultyProxy, redis_server: RedisServer, settings: Settings, wait_until: WaitUntil
) -> None:
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1, "RECOVERY_TIMEOUT": 0.05}

    def enqueue_in_a_transaction() -> bool:
        with transaction.atomic():
            job = queue().enqueue(succeed)
        return stores([job]) == {"redis"}

    behind_proxy.refuse()
    assert not enqueue_in_a_transaction()
    assert not enqueue_in_a_transaction()
    behind_proxy.pass_through()
    wait_until(enqueue_in_a_transaction)


def test_a_failing_job_row_does_not_break_the_callers_transaction(
    redis_server: RedisServer,
) -> None:
    with transaction.atomic():
        queue().enqueue(succeed, job_id="a")
        with pytest.raises(Exception, match="a"):
            queue().enqueue(succeed, job_id="a", unique=True)
        kept = queue().enqueue(succeed)
    assert sorted(row_ids()) == sorted(["a", kept.id])


def test_with_the_outbox_off_the_push_waits_for_the_commit_as_well(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"OUTBOX": False}
    with transaction.atomic():
        job = queue().enqueue(succeed)
        assert is_empty(redis_server)
        assert row_ids() == []
    assert waiting(redis_server) == [job.id]
    assert row_ids() == []


def test_when_our_tables_are_in_another_database_a_rollback_still_takes_the_job_back(
    redis_server: RedisServer, settings: Settings
) -> None:
    with database_away(settings):
        with rolled_back():
            queue().enqueue(succeed)
        assert is_empty(redis_server)
        with transaction.atomic():
            job = queue().enqueue(succeed)
            assert is_empty(redis_server)
    assert waiting(redis_server) == [job.id]
    assert unprotected(redis_server) == {job.id}


def test_both_stores_failing_at_the_commit_is_told_to_the_caller(
    redis_server: RedisServer, settings: Settings
) -> None:
    def enqueue_and_commit_without_redis() -> None:
        with transaction.atomic():
            queue().enqueue(succeed)
            redis_server.kill()

    with database_away(settings), pytest.raises(StoresUnavailableError):
        enqueue_and_commit_without_redis()


def test_a_queue_without_workers_waits_for_the_commit_as_in_django_rq(
    redis_server: RedisServer,
) -> None:
    with rolled_back():
        assert queue(is_async=False).enqueue(succeed, 7) is None
    assert is_empty(redis_server)


# ---- auto -------------------------------------------------------------------------------------


@each_way
def test_auto_pushes_at_once_also_inside_a_transaction(
    redis_server: RedisServer, mode: Callable[[str], None], way: str
) -> None:
    mode("auto")
    with transaction.atomic():
        jobs = WAYS[way]()
        assert everywhere(redis_server, way) == ids(jobs)
        assert stores(jobs) == {"redis"}
    assert row_ids() == ids(jobs)


def test_under_auto_a_rollback_takes_the_row_but_not_the_push(
    redis_server: RedisServer, mode: Callable[[str], None]
) -> None:
    mode("auto")
    with rolled_back():
        job = queue().enqueue(succeed)
    assert waiting(redis_server) == [job.id]
    assert row_ids() == []


@each_outage
def test_under_auto_with_redis_away_the_row_joins_the_callers_transaction(
    redis_server: RedisServer, mode: Callable[[str], None], how: str
) -> None:
    mode("auto")
    take_away(redis_server, how)
    with rolled_back():
        queue().enqueue(succeed, 1)
    with transaction.atomic():
        job = queue().enqueue(succeed, 2)
    assert row_ids() == [job.id]
    assert row_of(job).state == State.READY


def test_a_failure_met_inside_a_transaction_leaves_no_lock_of_ours_in_it(
    redis_server: RedisServer, mode: Callable[[str], None], settings: Settings
) -> None:
    mode("auto")
    settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1}
    redis_server.kill()
    with transaction.atomic():
        queue().enqueue(succeed)
        assert not Outage.objects.exists()


# ---- request_finished -------------------------------------------------------------------------


@pytest.fixture
def in_a_request(mode: Callable[[str], None]) -> Iterator[None]:
    mode("request_finished")
    request_finished.connect(thread_queue.commit)  # as django-rq does when it starts in this mode
    yield
    request_finished.disconnect(thread_queue.commit)
    thread_queue.clear()


@pytest.mark.usefixtures("in_a_request")
def test_a_job_of_a_request_enters_with_its_end(redis_server: RedisServer) -> None:
    assert django_rq.enqueue(succeed, 1) is None
    assert is_empty(redis_server)
    assert row_ids() == []
    request_finished.send(sender=None)
    (job_id,) = row_ids()
    assert waiting(redis_server) == [job_id]


@each_outage
@pytest.mark.usefixtures("in_a_request")
def test_a_job_of_a_request_that_ends_without_redis_is_in_the_database(
    redis_server: RedisServer, how: str
) -> None:
    django_rq.enqueue(succeed, 1)
    django_rq.enqueue(succeed, 2)
    take_away(redis_server, how)
    request_finished.send(sender=None)
    assert {row.state for row in FallbackJob.objects.all()} == {State.READY}
    assert len(row_ids()) == 2
