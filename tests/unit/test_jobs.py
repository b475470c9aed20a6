"""An rq job outside rq is the same job: no byte of its hash is lost or added on any way."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Callback, RateLimit, Repeat, Retry
from rq.job import Dependency, Job, JobStatus
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from django_resilient_queue.exceptions import UndecodableSnapshot
from django_resilient_queue.jobs import OUR_FIELDS, JobSnapshot, as_bytes, new_generation
from django_resilient_queue.seal import seal
from tests.jobs import fail, succeed

NOBODY = Redis(port=1)  # never spoken to: `create_job` needs a connection, but no Redis
HOOK = Webhook("http://localhost:1/hook", "finished")


def create(function: Any = succeed, *, serializer: Any = None, **options: Any) -> Job:
    """Make a job as `enqueue` does, up to where it would be written."""
    queue = Queue("default", connection=NOBODY, serializer=serializer)
    return queue.create_job(function, **{"args": (1,), **options})


def a_job_in_mid_life() -> Job:
    job = create(retry=Retry(max=4, interval=[1, 2]))
    job.started_at = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    job.ended_at = job.started_at + timedelta(seconds=1)
    job.last_heartbeat = job.ended_at
    job.worker_name, job._status = "worker", JobStatus.FAILED
    job.number_of_retries = 2
    job._exc_info = "Traceback: ünïcode"
    return job


def a_job_at_the_front() -> Job:
    job = create()
    job.enqueue_at_front = True
    return job


JOBS: Mapping[str, Callable[[], Job]] = {
    "plain": create,
    "binary": lambda: create(args=(bytes(range(256)), "ünïcode \x00 ☃")),
    "by path": lambda: create("tests.jobs.succeed"),
    "described": lambda: create(description="wörds\nand ☃"),
    "json": lambda: create(serializer=JSONSerializer, args=("ü", {"a": [1, None]})),
    "retry": lambda: create(retry=Retry(max=3, interval=[1, 20], enqueue_at_front=True)),
    "repeat": lambda: create(repeat=Repeat(times=3, interval=[5, 6])),
    "limits": lambda: create(timeout="2m", ttl=60, result_ttl=-1, failure_ttl=0),
    "no timeout": lambda: create(timeout=-1),
    "meta": lambda: create(
        meta={"user": 7, "raw": b"\xff", "at": datetime(2030, 1, 1, tzinfo=UTC)}
    ),
    "callbacks": lambda: create(
        on_success=Callback(succeed, timeout=5),
        on_failure=Callback(fail),
        on_stopped=Callback("tests.jobs.succeed"),
    ),
    "webhooks": lambda: create(webhooks=[HOOK]),
    "group": lambda: create(group_id="group"),
    "dependency": lambda: create(
        depends_on=Dependency(jobs=["a", "b"], allow_failure=True, enqueue_at_front=True)
    ),
    "rate limit": lambda: create(rate_limit=RateLimit(key="mails", concurrency=2)),
    "mid life": a_job_in_mid_life,
    "at front": a_job_at_the_front,
}


@pytest.fixture(params=sorted(JOBS))
def job(request: pytest.FixtureRequest) -> Job:
    return JOBS[request.param]()


def hash_of(job: Job) -> dict[str, bytes]:
    """What redis-py would send for `job.save()`."""
    encoder = NOBODY.get_encoder()
    return {name: bytes(encoder.encode(value)) for name, value in job.to_dict().items()}


def as_redis_returns(fields: Mapping[str, bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in fields.items()}


# ---- lossless ---------------------------------------------------------------------------------


def test_a_snapshot_holds_the_bytes_that_rq_would_write(job: Job) -> None:
    assert JobSnapshot.of(job, queue_name="default").fields == hash_of(job)


def test_a_snapshot_survives_the_table_unchanged(job: Job) -> None:
    snapshot = JobSnapshot.of(job, queue_name="default")
    assert JobSnapshot.load(snapshot.dump()) == snapshot


def test_a_snapshot_becomes_the_same_rq_job_again(job: Job) -> None:
    snapshot = JobSnapshot.of(job, queue_name="default")
    again = snapshot.to_job(Job, NOBODY, job.serializer)
    assert again.id == job.id
    assert hash_of(again) == hash_of(job)


def test_what_redis_held_goes_back_into_redis_byte_for_byte(job: Job) -> None:
    raw = as_redis_returns(hash_of(job))
    snapshot = JobSnapshot.from_hash(job.id, "default", raw)
    stored = JobSnapshot.load(snapshot.dump())
    assert as_redis_returns(stored.fields) == raw


def test_a_field_that_neither_rq_nor_we_know_is_kept() -> None:
    raw = {**as_redis_returns(hash_of(create())), b"of_another_package": b"\xfe\x00"}
    assert as_redis_returns(JobSnapshot.from_hash("id", "default", raw).fields) == raw


def test_arguments_are_restored_as_they_were() -> None:
    job = create(args=({1, 2}, b"\xff"), kwargs={"value": timedelta(seconds=1)})
    stored = JobSnapshot.load(JobSnapshot.of(job, queue_name="default").dump())
    again = stored.to_job(Job, NOBODY)
    assert (again.func, again.args, again.kwargs) == (
        succeed,
        ({1, 2}, b"\xff"),
        {"value": timedelta(seconds=1)},
    )


def test_meta_that_this_process_cannot_read_is_kept() -> None:
    raw = {**as_redis_returns(hash_of(create())), b"meta": b"\x80\x04cnowhere\nThing\n."}
    snapshot = JobSnapshot.from_hash("id", "default", raw)
    job = snapshot.to_job(Job, NOBODY)
    assert JobSnapshot.of(job, queue_name="default").fields["meta"] == raw[b"meta"]


@pytest.mark.parametrize("value", ["text", "ü☃", b"\xff", 7, -1, 0, 1.5, 1e-7, JobStatus.QUEUED])
def test_values_are_encoded_as_redis_py_does(value: Any) -> None:
    assert as_bytes(value) == NOBODY.get_encoder().encode(value)


def test_an_argument_that_cannot_be_serialised_raises_when_the_snapshot_is_taken() -> None:
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        JobSnapshot.of(create(args=(lambda: None,)), queue_name="default")


# ---- generation and our own fields ------------------------------------------------------------


def test_every_enqueue_draws_another_generation() -> None:
    job = create()
    drawn = {JobSnapshot.of(job, queue_name="default").generation for _ in range(100)}
    assert len(drawn) == 100
    assert all(len(bytes.fromhex(each)) == 16 for each in drawn)


OWN = ("version", "attempt", "rescues", "dead", "done", "lettered", "discard")


def test_our_fields_in_a_hash_are_no_part_of_the_snapshot() -> None:
    fields = hash_of(create())
    ours = {f"drq_{name}".encode(): b"1" for name in OWN}
    ours |= {name.encode(): b"1" for name in OUR_FIELDS} | {b"drq_generation": b"g"}
    snapshot = JobSnapshot.from_hash("id", "default", {**as_redis_returns(fields), **ours})
    assert snapshot.fields == fields
    assert snapshot.generation == "g"


def test_a_hash_of_plain_rq_takes_the_generation_that_its_reader_knows() -> None:
    raw = as_redis_returns(hash_of(create()))
    drawn = new_generation()
    assert JobSnapshot.from_hash("id", "default", raw, generation=drawn).generation == drawn
    assert JobSnapshot.from_hash("id", "default", raw).generation == ""


def test_a_change_leaves_the_original_and_all_other_fields_alone() -> None:
    snapshot = JobSnapshot.of(create(), queue_name="default")
    before = dict(snapshot.fields)
    changed = snapshot.changed({"status": b"failed"})
    assert snapshot.fields == before
    assert changed.fields == {**before, "status": b"failed"}
    assert changed.generation == snapshot.generation


# ---- what may not be read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[]", b"null", b"{}", b'{"id": 1, "fields": {"a": 1}}', b'{"fields": []}'],
)
def test_sealed_bytes_of_an_unknown_form_are_undecodable(body: bytes) -> None:
    with pytest.raises(UndecodableSnapshot):
        JobSnapshot.load(seal(body, purpose="job"))


def test_a_settlement_is_not_taken_for_a_job() -> None:
    body = JobSnapshot.of(create(), queue_name="default").dump()[33:]
    with pytest.raises(UndecodableSnapshot, match="signature"):
        JobSnapshot.load(seal(body, purpose="settlement"))


def test_loading_a_forged_row_unpickles_nothing() -> None:
    job = create()
    job._data = pickle.dumps(Bomb())
    forged = JobSnapshot.of(job, queue_name="default").dump()
    with pytest.raises(UndecodableSnapshot):
        JobSnapshot.load(forged[:1] + bytes(32) + forged[33:])
    assert not Bomb.went_off


class Bomb:
    """Says when it is unpickled."""

    went_off = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Bomb, "went_off", True)


# ---- what can be read without unpickling ------------------------------------------------------


def test_the_readable_view_agrees_with_rqs_job(job: Job) -> None:
    snapshot = JobSnapshot.of(job, queue_name="default")
    assert snapshot.description == (job.description or "")
    assert snapshot.dependency_ids == job._dependency_ids
    assert snapshot.rate_limit == (job.rate_limit_key or "", job.rate_limit_concurrency or 0)
    assert snapshot.timeout == job.timeout
    assert snapshot.number("result_ttl") == job.result_ttl
    assert snapshot.number("retries_left") == job.retries_left
    assert snapshot.numbers("retry_intervals") == (job.retry_intervals or [])
    assert snapshot.time("created_at") == job.created_at
    assert snapshot.time("ended_at") == job.ended_at


@pytest.mark.parametrize("broken", [b"", b"x", b"\xff", b"{", b"nan", b"inf", b"null"])
def test_a_broken_field_reads_as_one_that_is_not_set(broken: bytes) -> None:
    names = ("timeout", "retry_intervals", "dependency_ids", "created_at")
    snapshot = JobSnapshot("id", "default", "g", dict.fromkeys(names, broken))
    assert snapshot.timeout is None
    assert snapshot.numbers("retry_intervals") == []
    assert snapshot.dependency_ids == []
    assert snapshot.time("created_at") is None
