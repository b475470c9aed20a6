"""Jobs of registered handlers on their way in: what is refused, and what the stores then hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_resilient_queue import InvalidPayload, Priority, enqueue, enqueue_many, get_job
from django_resilient_queue.exceptions import MissingExtra, PayloadTooLarge, UnknownHandler
from django_resilient_queue.models import FallbackJob
from example_project.servers import RedisServer
from tests.enqueueing import (
    is_empty,
    job_hash,
    rolled_back,
    round_trips,
    row_of,
    scheduled,
    stores,
    waiting,
)

LETTER = {"ledger": "/dev/null", "to": "ann@example.com", "subject": "hello"}
WAITING = {"ledger": "/dev/null", "value": "one", "gate": "/dev/null"}
BAD_LETTER = {**LETTER, "to": "nobody"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["redis", "database"])
def mode(request: pytest.FixtureRequest, redis_server: RedisServer) -> str:
    if request.param == "database":
        redis_server.kill()
    return str(request.param)


def retries(job: Any) -> list[int]:
    return list(job.retry_intervals or [])


# ---- what is stored ---------------------------------------------------------------------------


def test_a_name_and_a_payload_are_a_job(mode: str) -> None:
    job = enqueue("letter:send", LETTER, job_id="one")
    assert stores([job]) == {mode}
    found = get_job("one")
    assert found is not None
    assert found.job is not None
    assert tuple(found.job.args) == ("letter:send",)
    assert {name: found.job.kwargs[name] for name in LETTER} == LETTER
    assert (found.queue_name, found.backend) == ("high", mode)


def test_nothing_that_is_shown_of_a_job_repeats_its_payload(redis_server: RedisServer) -> None:
    job = enqueue("letter:send", LETTER)
    assert job.description == "letter:send"
    assert "ann@example.com" not in repr(job)


def test_a_handler_without_a_payload_needs_none(redis_server: RedisServer) -> None:
    job = enqueue("tidy")
    assert (job.origin, job.kwargs) == ("low", {})


def test_names_of_a_payload_are_not_taken_for_options(redis_server: RedisServer) -> None:
    """rq's words mean nothing in a payload."""
    payload = {"job_id": 1, "name": 2, "args": 3, "kwargs": 4, "timeout": 5, "at_front": True}
    job = enqueue("tidy", payload, job_id="one")
    assert (job.id, job.kwargs) == ("one", payload)


def test_a_function_is_enqueued_as_ever(redis_server: RedisServer) -> None:
    job = enqueue("tests.jobs.succeed", 7, job_timeout=9)
    assert (job.origin, job.args, job.timeout) == ("default", (7,), 9)


def test_a_job_carries_who_asked_for_it(redis_server: RedisServer) -> None:
    meta = {"trace": "t1"}
    job = enqueue("letter:send", LETTER, request_id="r1", user_id=7, meta=meta)
    assert job.meta == {"request_id": "r1", "user_id": 7, "trace": "t1"}
    assert meta == {"trace": "t1"}
    assert enqueue("letter:send", LETTER).meta == {}


def test_a_job_joins_the_callers_transaction(mode: str) -> None:
    with rolled_back():
        enqueue("letter:send", LETTER)
    assert FallbackJob.objects.count() == 0
    with transaction.atomic():
        enqueue("letter:send", LETTER, job_id="one")
    assert get_job("one") is not None


# ---- where, how often, for how long -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "queue_name", "number"),
    [
        ("letter:send", {}, "high", 3),
        ("letter:send", {"priority": Priority.CRITICAL}, "critical", 4),
        ("letter:send", {"priority": 1}, "low", 1),
        ("letter:send", {"queue": "low"}, "low", 3),
        ("letter:send", {"attempts": 9}, "high", 8),
        ("letter:send", {"attempts": 1}, "high", 0),
        ("letter:hold", {}, "default", 2),
        ("letter:lose", {}, "default", 2),
        ("letter:bounce", {"priority": 20}, "critical", 4),
        ("letter:open", {}, "default", 0),
        ("tidy", {}, "low", 1),
        ("tidy", {"priority": Priority.HIGH}, "high", 3),
    ],
)
def test_the_priority_says_where_and_how_often(
    redis_server: RedisServer, name: str, options: dict[str, Any], queue_name: str, number: int
) -> None:
    payload = {"letter:send": LETTER, "tidy": {}}.get(name, WAITING)
    job = enqueue(name, payload, **options)
    assert (job.origin, job.retries_left or 0, len(retries(job))) == (queue_name, number, number)


def test_a_priority_takes_no_job_from_a_queue_without_a_rank(
    redis_server: RedisServer, settings: Settings
) -> None:
    """It has workers of its own, for what others can't do."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "PRIORITIES": {"high": 10}}
    job = enqueue("tidy", priority=Priority.HIGH)
    assert (job.origin, job.retries_left) == ("low", 3)


def test_delays_are_those_of_the_priority_or_of_the_handler(redis_server: RedisServer) -> None:
    first, second, third = retries(enqueue("letter:send", LETTER))
    assert 2 <= first <= 3 <= 4 <= second <= 6 <= 8 <= third <= 12
    assert retries(enqueue("letter:lose", WAITING)) == [0, 0]


@pytest.mark.parametrize(
    ("options", "result_ttl", "failure_ttl"),
    [
        ({}, 500, 31_536_000),
        ({"remove_on_complete": True, "remove_on_fail": True}, 0, 0),
        ({"remove_on_complete": False, "remove_on_fail": False}, -1, -1),
        ({"remove_on_complete": 60, "remove_on_fail": 3600}, 60, 3600),
    ],
)
def test_rqs_record_of_a_job_is_kept_as_long_as_it_is_told(
    redis_server: RedisServer,
    options: dict[str, Any],
    result_ttl: int | None,
    failure_ttl: int | None,
) -> None:
    job = enqueue("letter:send", LETTER, **options)
    assert (job.result_ttl, job.failure_ttl) == (result_ttl, failure_ttl)


def test_the_environment_says_how_long_records_are_kept_where_no_call_does(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_REMOVE_ON_COMPLETE", "0")
    monkeypatch.setenv("QUEUE_REMOVE_ON_FAIL", "60")
    job = enqueue("letter:send", LETTER)
    assert (job.result_ttl, job.failure_ttl) == (0, 60)
    told = enqueue("letter:send", LETTER, remove_on_complete=5, remove_on_fail=False)
    assert (told.result_ttl, told.failure_ttl) == (5, -1)


@pytest.mark.parametrize("delay", [3600, 3600.0, timedelta(hours=1)])
def test_a_delay_is_in_seconds_or_a_length_of_time(mode: str, delay: Any) -> None:
    job = enqueue("letter:send", LETTER, delay=delay, job_id="one", remove_on_complete=60)
    due = row_of("one").due_at - datetime.now(UTC)
    assert timedelta(minutes=59) < due <= timedelta(hours=1)
    assert (job.origin, job.retries_left, job.result_ttl) == ("high", 3, 60)
    assert job.kwargs["to"] == LETTER["to"]


def test_the_limit_of_a_handler_is_its_own(redis_server: RedisServer) -> None:
    jobs = [
        enqueue("letter:hold", WAITING),
        enqueue("letter:hold", WAITING, delay=60),
        *enqueue_many("letter:hold", [WAITING]),
        *enqueue_many("letter:hold", [WAITING], delay=60),
    ]
    for job in jobs:
        row = row_of(job)
        assert (row.rate_limit_key, row.rate_limit_concurrency) == ("handler:letter:hold", 1)
    assert row_of(enqueue("letter:send", LETTER)).rate_limit_key == ""


# ---- many -------------------------------------------------------------------------------------


def letters(count: int) -> list[dict[str, Any]]:
    return [{**LETTER, "subject": f"number {n}"} for n in range(count)]


def test_many_jobs_keep_their_order(mode: str, redis_server: RedisServer) -> None:
    jobs = enqueue_many("letter:send", letters(50), remove_on_fail=60)
    assert stores(jobs) == {mode}
    assert [job.kwargs["subject"] for job in jobs] == [f"number {n}" for n in range(50)]
    assert {(job.origin, job.failure_ttl, job.description) for job in jobs} == {
        ("high", 60, "letter:send")
    }
    assert list(FallbackJob.objects.order_by("pk").values_list("job_id", flat=True)) == [
        job.id for job in jobs
    ]
    if mode == "redis":
        assert waiting(redis_server, "high") == [job.id for job in jobs]


@pytest.mark.parametrize("delay", [None, 60])
def test_many_jobs_are_one_round_trip_to_each_store(
    redis_server: RedisServer, delay: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue("letter:send", LETTER)
    with CaptureQueriesContext(connection) as queries, round_trips(monkeypatch) as made:
        jobs = enqueue_many("letter:send", letters(30), delay=delay)
    assert made == [30]
    assert stores(jobs) == {"redis"}
    place = scheduled(redis_server, "high") if delay else waiting(redis_server, "high")
    assert {job.id for job in jobs} <= set(place)
    assert sum("INSERT" in query["sql"] for query in queries) == 1


def test_jobs_of_one_batch_do_not_come_back_together(redis_server: RedisServer) -> None:
    jobs = enqueue_many("letter:send", letters(30))
    assert len({tuple(retries(job)) for job in jobs}) > 1


@pytest.mark.parametrize("options", [{}, {"delay": 60}])
def test_none_of_many_is_enqueued_when_one_is_refused(
    redis_server: RedisServer, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidPayload, match="letter:send at index 2 refused") as caught:
        enqueue_many("letter:send", [LETTER, LETTER, BAD_LETTER], **options)
    assert caught.value.index == 2
    assert list(caught.value.errors) == ["to"]
    assert nothing_is_stored(redis_server)


def test_none_is_many_too(redis_server: RedisServer) -> None:
    assert enqueue_many("letter:send", []) == []
    assert enqueue_many("letter:send", [], delay=60) == []


# ---- what is refused --------------------------------------------------------------------------


def nothing_is_stored(redis_server: RedisServer) -> bool:
    return is_empty(redis_server) and not FallbackJob.objects.exists()


@pytest.mark.parametrize(
    ("name", "payload", "options", "error", "words"),
    [
        ("letter:send", BAD_LETTER, {}, InvalidPayload, r"refused: to \(invalid\)"),
        ("letter:send", {}, {}, InvalidPayload, "required"),
        ("letter:send", {**LETTER, "x": 1}, {}, InvalidPayload, "refused: x"),
        ("letter:send", {**LETTER, "body": "x" * 600_000}, {}, PayloadTooLarge, "524288 bytes"),
        ("letter:sned", LETTER, {}, UnknownHandler, "did you mean 'letter:send'"),
        ("no:such", {}, {}, UnknownHandler, "known: "),
        ("letter:engrave", {}, {}, MissingExtra, r'"django-resilient-queue\[engraving\]"'),
        ("tidy", {}, {"delay": -1}, ValueError, "delay must not be negative"),
        ("tidy", {}, {"delay": 1e300}, ValueError, "delay must be a length of time"),
        ("tidy", {}, {"delay": float("nan")}, ValueError, "delay must be a length of time"),
        ("tidy", {}, {"delay": "soon"}, ValueError, "delay must be a length of time"),
        ("tidy", {}, {"delay": True}, ValueError, "delay must be a length of time"),
        ("tidy", {}, {"attempts": 0}, ValueError, "attempts must be"),
        ("tidy", {}, {"attempts": "3"}, ValueError, "attempts must be"),
        (
            "tidy",
            {},
            {"priority": 21},
            ValueError,
            "priority must be a whole number between 1 and 20, not 21",
        ),
        ("tidy", {}, {"priority": "high"}, ValueError, "priority must be"),
        ("tidy", {}, {"queue": "lwo"}, ValueError, "no queue 'lwo' in RQ_QUEUES"),
        ("tidy", {}, {"remove_on_fail": -5}, ValueError, "remove_on_fail must be"),
        ("tidy", {}, {"remove_on_complete": "1"}, ValueError, "remove_on_complete must be"),
        (
            "tidy",
            {},
            {"remove_on_complete": 10**15},
            ValueError,
            "3153600000, not 1000000000000000",
        ),
        ("tidy", {}, {"delay": 10**10}, ValueError, "delay must be at most 36500 days"),
        ("tidy", {}, {"retries": 3}, TypeError, "retries"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    redis_server: RedisServer,
    name: str,
    payload: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        enqueue(name, payload, **options)
    with pytest.raises(error):
        enqueue_many(name, [payload], **options)
    assert nothing_is_stored(redis_server)


@pytest.mark.parametrize("job_id", ["x" * 201, "a b", "../a", "a\n", ""])
def test_an_id_that_no_store_has_room_for_is_refused(
    redis_server: RedisServer, job_id: str
) -> None:
    with pytest.raises(ValueError, match=r"job_id must be|Job ID must"):
        enqueue("tidy", job_id=job_id)
    assert nothing_is_stored(redis_server)


def test_a_handlers_queue_that_there_is_not_is_refused(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RQ_QUEUES = {name: settings.RQ_QUEUES[name] for name in ("default", "high")}
    with pytest.raises(ValueError, match="no queue 'low' in RQ_QUEUES"):
        enqueue("tidy")


def test_the_stored_hash_calls_one_function_of_ours(redis_server: RedisServer) -> None:
    """So that a handler may move to another module while its jobs wait."""
    job = enqueue("tidy")
    assert job.func_name == "django_resilient_queue.handlers.performing.perform"
    assert job_hash(redis_server, job.id)["description"] == b"tidy"


def test_a_queue_without_workers_performs_the_job_at_once(
    redis_server: RedisServer, settings: Settings
) -> None:
    """As projects have it in their tests."""
    there = settings.RQ_QUEUES
    settings.RQ_QUEUES = {name: {**there[name], "ASYNC": False} for name in there}
    job = enqueue("tidy", {"a": 1})
    found: Any = job.return_value()
    assert found["data"] == {"a": 1}
    assert enqueue("letter:hold", WAITING).is_finished  # without its limit: rq refuses one here
