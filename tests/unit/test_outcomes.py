"""What becomes of a job after an attempt is what rq would have made of it."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from redis import Redis
from rq import Repeat, Retry
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.results import Result

from django_resilient_queue.exceptions import UndecodableSnapshot
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.outcomes import (
    TRACEBACK_LIMIT,
    Attempt,
    Ending,
    Failure,
    Reason,
    ReturnedRetry,
    Settlement,
    fail,
    finish,
    retry_returned,
    stop,
)
from django_resilient_queue.seal import seal
from tests.jobs import succeed

STARTED = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ATTEMPT = Attempt("worker", "execution", STARTED, STARTED + timedelta(seconds=2.5))
RAISED = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback: ünïcode\nValueError: no")
QUEUE = Queue("default", connection=Redis(port=1))  # never spoken to


def job_of(**options: Any) -> Job:
    """Make a job that a worker has just executed."""
    counts = {"retries_left", "number_of_retries"} & set(options)
    values = {name: options.pop(name) for name in counts}
    job = QUEUE.create_job(succeed, args=(1,), **options)
    for name, value in values.items():
        setattr(job, name, value)
    job.started_at, job.ended_at = ATTEMPT.started_at, ATTEMPT.ended_at
    return job


def snapshot_of(job: Job) -> JobSnapshot:
    return JobSnapshot.of(job, queue_name="default")


def finished(job: Job, value: bytes | None = b"pickled") -> Settlement:
    return finish(snapshot_of(job), ATTEMPT, return_value=value, default_ttl=DEFAULT_RESULT_TTL)


def returned(retry: Retry, job: Job) -> ReturnedRetry:
    pickled = job.serializer.dumps(retry)
    return ReturnedRetry(retry.max, list(retry.intervals), retry.enqueue_at_front, pickled)


def entry_of(pipeline: MagicMock) -> dict[str, str]:
    """What rq added to the result stream, as Redis would show it."""
    encoder = QUEUE.connection.get_encoder()
    (call,) = pipeline.xadd.call_args_list
    return {name: bytes(encoder.encode(value)).decode() for name, value in call.args[1].items()}


def fields_after(job: Job, settlement: Settlement) -> Mapping[str, bytes]:
    return {**snapshot_of(job).fields, **settlement.fields}


class RqRetry:
    """What rq itself does with the same job: when it is due, and what stands in its hash then."""

    def __init__(self) -> None:
        self.pipeline = MagicMock()
        self.queue = MagicMock()
        self.asked = datetime.now(UTC)

    @property
    def delay(self) -> int:
        if not self.queue.schedule_job.called:
            return 0
        due = self.queue.schedule_job.call_args.args[1]
        seconds: float = (due - self.asked).total_seconds()
        return math.floor(seconds)  # between the question and rq, some time may pass

    @property
    def at_front(self) -> bool:
        """Of a retry that is not delayed."""
        return bool(self.queue._enqueue_job.call_args.kwargs["at_front"])

    def raised(self, job: Job) -> RqRetry:
        job.set_status = MagicMock()  # type: ignore[method-assign]
        job.retry(self.queue, self.pipeline)
        return self

    def returned(self, job: Job, retry: Retry) -> RqRetry:
        job.set_status = MagicMock()  # type: ignore[method-assign]
        job._handle_retry_result(
            self.queue,
            self.pipeline,
            retry,
            worker_name=ATTEMPT.worker_name,
            execution_id=ATTEMPT.execution_id,
            execution_started_at=ATTEMPT.started_at,
            execution_ended_at=ATTEMPT.ended_at,
        )
        return self


# ---- success ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [None, 0, 1, 500, -1])
def test_a_result_is_kept_as_long_as_rq_keeps_it(stated: int | None) -> None:
    job = job_of(result_ttl=stated)
    assert finished(job).ttl == job.get_result_ttl(DEFAULT_RESULT_TTL)


@pytest.mark.parametrize("value", [None, {"a": b"\xff"}])
def test_the_result_is_the_entry_that_rq_would_write(value: Any) -> None:
    job, pipeline = job_of(), MagicMock()
    job._result = value
    job._handle_success(
        500,
        pipeline=pipeline,
        worker_name=ATTEMPT.worker_name,
        execution_id=ATTEMPT.execution_id,
        execution_started_at=ATTEMPT.started_at,
        execution_ended_at=ATTEMPT.ended_at,
    )
    pickled = None if value is None else job.serializer.dumps(value)
    assert finished(job, pickled).result == entry_of(pipeline)


def test_a_result_that_is_not_kept_is_not_written() -> None:
    assert finished(job_of(result_ttl=0)).result is None


def test_a_finished_job_says_when_it_ran_and_by_whom() -> None:
    job = job_of()
    job.worker_name, job._status, job.last_heartbeat = "worker", JobStatus.FINISHED, job.ended_at
    assert fields_after(job, finished(job)) == snapshot_of(job).fields
    assert finished(job).seconds == 2.5


# ---- repeats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, 7, [3], [3, 0, 5], [0, 4], []])
@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_repeat_follows_rqs_intervals_to_its_end(times: int, interval: int | list[int]) -> None:
    job = job_of(repeat=Repeat(times=times, interval=interval))
    ours = snapshot_of(job)
    for _ in range(times):
        settlement = finish(ours, ATTEMPT, return_value=None, default_ttl=500)
        ours = ours.changed(settlement.fields)
        rq = MagicMock()
        Repeat.schedule(job, rq, pipeline=MagicMock())
        due = rq.schedule_job.call_args
        delay = round((due.args[1] - datetime.now(UTC)).total_seconds()) if due else 0

        assert (settlement.ending, settlement.delay) == (Ending.REPEAT, delay)
        assert ours.number("repeats_left") == job.repeats_left
        assert ours.numbers("repeat_intervals") == job.repeat_intervals
    last = finish(ours, ATTEMPT, return_value=None, default_ttl=500)
    assert last.ending is Ending.FINISHED


def test_each_repeat_leaves_a_result() -> None:
    job = job_of(repeat=Repeat(times=2, interval=5))
    settlement = finished(job)
    assert settlement.result is not None
    assert settlement.fields["status"] == b"scheduled"


# ---- a raised error ---------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, 9, [1], [1, 20], [1, 20, 300], [0, 5], [5, 0]])
@pytest.mark.parametrize("maximum", [1, 2, 4])
@pytest.mark.parametrize("front", [False, True])
def test_retries_follow_rqs_intervals_to_the_last(
    maximum: int, interval: int | list[int], front: bool
) -> None:
    job = job_of(retry=Retry(max=maximum, interval=interval, enqueue_at_front=front))
    ours = snapshot_of(job)
    while job.should_retry:
        settlement = fail(ours, ATTEMPT, RAISED)
        ours = ours.changed(settlement.fields)
        rq = RqRetry().raised(job)
        assert (settlement.ending, settlement.delay) == (Ending.RETRY, rq.delay)
        assert rq.delay or settlement.at_front is rq.at_front
        assert ours.fields["status"] == (b"scheduled" if rq.delay else b"queued")
        assert ours.number("retries_left") == job.retries_left
        assert settlement.result is None  # as rq: an attempt with a retry leaves no entry
    assert fail(ours, ATTEMPT, RAISED).ending is Ending.DEAD


@pytest.mark.parametrize("left", [None, 0])
def test_without_a_retry_left_the_job_is_dead(left: int | None) -> None:
    job = job_of(retries_left=left)
    assert not job.should_retry
    settlement = fail(snapshot_of(job), ATTEMPT, RAISED)
    assert (settlement.ending, settlement.fields["status"]) == (Ending.DEAD, b"failed")
    assert settlement.died_at == ATTEMPT.ended_at.isoformat()


def test_a_death_leaves_the_entry_and_the_traceback_that_rq_would_write() -> None:
    job, pipeline = job_of(), MagicMock()
    settlement = fail(snapshot_of(job), ATTEMPT, RAISED)
    job._handle_failure(
        RAISED.traceback,
        pipeline=pipeline,
        worker_name=ATTEMPT.worker_name,
        execution_id=ATTEMPT.execution_id,
        execution_started_at=ATTEMPT.started_at,
        execution_ended_at=ATTEMPT.ended_at,
    )
    assert settlement.result == entry_of(pipeline)
    assert zlib.decompress(settlement.fields["exc_info"]).decode() == RAISED.traceback


@pytest.mark.parametrize("stated", [None, 0, 60, -1])
def test_a_failure_is_kept_as_long_as_rq_keeps_it(stated: int | None) -> None:
    job = job_of(failure_ttl=stated)
    settlement = fail(snapshot_of(job), ATTEMPT, RAISED)
    assert settlement.ttl == (DEFAULT_FAILURE_TTL if stated is None else stated)


def test_a_job_that_an_operator_stopped_is_not_retried_and_not_dead() -> None:
    job = job_of(retry=Retry(max=3))
    settlement = stop(snapshot_of(job), ATTEMPT)
    assert (settlement.ending, settlement.fields["status"]) == (Ending.STOPPED, b"stopped")


# ---- a returned Retry -------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, 9, [1, 20], [0, 5], []])
@pytest.mark.parametrize("maximum", [1, 3])
@pytest.mark.parametrize("front", [False, True])
def test_a_returned_retry_follows_rq_to_its_max(
    maximum: int, interval: int | list[int], front: bool
) -> None:
    job, retry = job_of(), Retry(max=maximum, interval=interval, enqueue_at_front=front)
    ours = snapshot_of(job)
    while not (job.number_of_retries and job.number_of_retries >= retry.max):
        settlement = retry_returned(ours, ATTEMPT, returned(retry, job))
        ours = ours.changed(settlement.fields)
        rq = RqRetry().returned(job, retry)
        assert (settlement.ending, settlement.delay) == (Ending.RETRY, rq.delay)
        assert rq.delay or settlement.at_front is rq.at_front
        assert settlement.result == entry_of(rq.pipeline)
        assert ours.number("number_of_retries") == job.number_of_retries
        assert ours.to_job(Job, QUEUE.connection).should_enqueue_at_front() is (
            job.should_enqueue_at_front()
        )
    settlement = retry_returned(ours, ATTEMPT, returned(retry, job))
    assert settlement.ending is Ending.DEAD
    assert settlement.failure is not None
    assert settlement.failure.reason is Reason.RETRIES_EXCEEDED


def test_a_retry_past_its_max_leaves_the_entry_that_rq_would_write() -> None:
    job, retry, pipeline = job_of(number_of_retries=2), Retry(max=2), MagicMock()
    Result.create_max_retries_exceeded(
        job,
        job.failure_ttl,
        return_value=retry,
        worker_name=ATTEMPT.worker_name,
        pipeline=pipeline,
        execution_id=ATTEMPT.execution_id,
        execution_started_at=ATTEMPT.started_at,
        execution_ended_at=ATTEMPT.ended_at,
    )
    settlement = retry_returned(snapshot_of(job), ATTEMPT, returned(retry, job))
    assert settlement.result == entry_of(pipeline)
    assert zlib.decompress(settlement.fields["exc_info"]) == b""


def test_a_returned_retry_uses_up_none_of_the_retries_after_errors() -> None:
    job = job_of(retry=Retry(max=2))
    settlement = retry_returned(snapshot_of(job), ATTEMPT, returned(Retry(max=1), job))
    assert "retries_left" not in settlement.fields


# ---- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settlement",
    [
        Settlement(Ending.FINISHED, {"a": b"\xff\x00"}, result={"type": "1"}, ttl=500, seconds=0.5),
        Settlement(Ending.RETRY, {}, delay=5, worker_name="w"),
        Settlement(Ending.STOPPED, {"status": b"stopped"}),
    ],
)
def test_a_settlement_survives_the_table(settlement: Settlement) -> None:
    assert Settlement.load(settlement.dump()) == settlement


def test_a_settlement_in_the_table_carries_no_failure_text() -> None:
    died = fail(snapshot_of(job_of()), ATTEMPT, replace(RAISED, message="s3cret"))
    assert b"s3cret" not in died.dump()
    assert Settlement.load(died.dump()).ending is Ending.DEAD


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", json.dumps({"ending": "lost"}).encode()])
def test_a_settlement_of_an_unknown_form_is_undecodable(body: bytes) -> None:
    with pytest.raises(UndecodableSnapshot):
        Settlement.load(seal(body, purpose="settlement"))


def test_a_long_traceback_is_cut_in_the_middle() -> None:
    long = Failure(Reason.RAISED, "E", "m" * 5000, "first" + "x" * 2 * TRACEBACK_LIMIT + "last")
    cut = long.bounded()
    assert len(cut.traceback) < TRACEBACK_LIMIT + 100
    assert cut.traceback.startswith("first")
    assert cut.traceback.endswith("last")
    assert RAISED.bounded() == RAISED


def test_time_never_runs_backwards_for_an_attempt() -> None:
    assert Attempt("w", "e", STARTED, STARTED - timedelta(seconds=1)).seconds == 0
