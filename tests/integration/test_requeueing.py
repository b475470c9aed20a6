"""Requeue, discard, restore: what becomes of a letter and of its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from rq import Retry

import django_resilient_queue as front
from django_resilient_queue import signals
from django_resilient_queue.exceptions import LetterNotDead, StoreError, UndecodableSnapshot
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import Correction, DeadLetter, FallbackJob
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.outcomes import Attempt, Ending, Failure, Reason, fail, finish
from django_resilient_queue.stores.base import Claim
from django_resilient_queue.stores.database import DatabaseStore
from example_project.servers import RedisServer, ServerProcess
from tests.stores import Worker, snapshot

pytestmark = pytest.mark.django_db(transaction=True)

FAILURE = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\nValueError: no")


def letter_of(job_id: str = "job", *, attempts: int = 1, **options: Any) -> DeadLetter:
    """A job that died in its last attempt."""
    letter = DeadLetter.of(snapshot(job_id, **options), FAILURE, attempts=attempts)
    DeadLetter.objects.record([letter])
    return DeadLetter.objects.get(job_id=job_id)


def job_of(job_id: str) -> JobSnapshot:
    """What the table holds of a requeued job."""
    return JobSnapshot.load(bytes(FallbackJob.objects.get(job_id=job_id).payload))


def perform(*, ends: Callable[[Worker, Claim], Any]) -> Claim:
    """A worker in database mode executes the one job that is there."""
    worker = Worker(DatabaseStore(broker="b"), "w")
    claim = worker.take()
    worker.store.settle(claim, ends(worker, claim))
    return claim


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str]]]:
    """The signals that were sent, each with the status that its receiver saw."""
    found: list[tuple[str, str]] = []
    names = (
        "job_dead_lettered",
        "dead_letter_requeued",
        "dead_letter_recovered",
        "dead_letter_discarded",
    )
    receivers = []
    for name in names:

        def receive(dead_letter: DeadLetter, name: str = name, **kwargs: object) -> None:
            found.append((name, DeadLetter.objects.get(pk=dead_letter.pk).status))

        receivers.append((getattr(signals, name), receive))
        getattr(signals, name).connect(receive)
    yield found
    for signal, receive in receivers:
        signal.disconnect(receive)


# ---- requeue ----------------------------------------------------------------------------------


def test_a_requeued_job_is_the_same_call_under_another_id() -> None:
    letter = letter_of(meta={"request": "r1"}, timeout=7)
    assert front.requeue(letter, by="ann", reason="mended") == "job-r1"
    before, after = letter.snapshot, job_of("job-r1")
    for name in ("data", "meta", "timeout", "description", "created_at"):
        assert after.fields.get(name) == before.fields.get(name)
    assert after.generation != before.generation
    assert (letter.status, letter.requeued_as) == (Status.REQUEUED, "job-r1")
    assert (letter.changed_by, letter.change_reason) == ("ann", "mended")


def test_a_requeued_job_runs_with_redis_away_or_not(redis_server: RedisServer) -> None:
    redis_server.kill()
    front.requeue(letter_of())
    row = FallbackJob.objects.get()
    assert (row.state, row.redis_copy) == ("ready", False)


def test_a_letter_becomes_recovered_when_its_job_finishes(heard: list[tuple[str, str]]) -> None:
    letter = letter_of()
    front.requeue(letter)
    perform(ends=Worker.finished)
    letter.refresh_from_db()
    assert letter.status == Status.RECOVERED
    assert heard == [
        ("job_dead_lettered", "dead"),
        ("dead_letter_requeued", "requeued"),
        ("dead_letter_recovered", "recovered"),
    ]


def test_a_batch_of_ends_recovers_their_letters() -> None:
    for job_id in "abc":
        front.requeue(letter_of(job_id))
    worker = Worker(DatabaseStore(broker="b"), "w")
    worker.settle_all([(claim, worker.finished(claim)) for claim in worker.claim()])
    assert set(DeadLetter.objects.values_list("status", flat=True)) == {"recovered"}


def test_what_redis_has_recorded_recovers_a_letter() -> None:
    letter = letter_of()
    front.requeue(letter)
    claim = Claim(job_of("job-r1"), "redis", "token")
    now = timezone.now()
    end = finish(
        claim.snapshot, Attempt("w", "token", now, now), return_value=None, default_ttl=500
    )
    DatabaseStore().ends.follow([(claim, end)])
    letter.refresh_from_db()
    assert letter.status == Status.RECOVERED


def test_a_job_that_dies_again_has_a_letter_of_its_own_with_a_link() -> None:
    first = letter_of()
    front.requeue(first)
    perform(ends=Worker.failed)
    second = DeadLetter.objects.get(job_id="job-r1")
    assert (second.requeued_from, second.requeues, second.status) == (first, 1, "dead")
    first.refresh_from_db()
    assert first.status == Status.REQUEUED
    assert front.requeue(second) == "job-r2"


def test_the_link_to_a_letter_that_is_gone_is_left_out() -> None:
    first = letter_of()
    front.requeue(first)
    first.delete()
    perform(ends=Worker.failed)
    assert DeadLetter.objects.get().requeued_from is None


def test_a_requeued_job_has_all_its_retries_again_or_those_it_had_left() -> None:
    snapshots = {
        job_id: letter_of(job_id, attempts=3, retry=Retry(max=2)).snapshot
        for job_id in ("again", "left")
    }
    for job_id in snapshots:
        spent = snapshots[job_id].changed({"retries_left": b"0"})
        DeadLetter.objects.filter(job_id=job_id).update(payload=spent.dump())
    front.requeue(DeadLetter.objects.get(job_id="again"))
    front.requeue(DeadLetter.objects.get(job_id="left"), keep_attempts=True)
    assert job_of("again-r1").number("retries_left") == 2
    assert job_of("left-r1").number("retries_left") == 0
    attempts = FallbackJob.objects.values_list("job_id", "attempt")
    assert dict(attempts) == {"again-r1": 0, "left-r1": 3}


def test_a_job_can_be_requeued_into_another_queue() -> None:
    front.requeue(letter_of(), queue_name="low")
    assert FallbackJob.objects.get().queue_name == "low"
    assert job_of("job-r1").text("origin") == "low"


def test_a_queue_that_there_is_not_is_refused_before_anything_is_done() -> None:
    letter = letter_of()
    with pytest.raises(ValueError, match="no queue 'lwo' in RQ_QUEUES"):
        front.requeue(letter, queue_name="lwo")
    letter.refresh_from_db()
    assert letter.status == Status.DEAD


def test_an_id_that_another_job_has_is_passed_over() -> None:
    letter = letter_of()
    DatabaseStore().insert(entry("job-r1"))
    assert front.requeue(letter) == "job-r2"
    assert front.requeue(letter_of("job-r3", attempts=1)) == "job-r3-r1"


def test_as_many_letters_of_one_id_as_there_are_can_be_requeued() -> None:
    """A job that is enqueued each night under the same id, and died in each of a month's."""
    letters = [DeadLetter.of(snapshot("nightly"), FAILURE, attempts=1) for _ in range(30)]
    DeadLetter.objects.record(letters)
    names = {front.requeue(letter) for letter in DeadLetter.objects.order_by("pk")}
    assert len(names) == 30
    assert {f"nightly-r{number}" for number in range(1, 21)} < names
    assert all(name.startswith("nightly-r") for name in names)
    assert FallbackJob.objects.filter(job_id__in=names).count() == 30


def entry(job_id: str) -> Any:
    from django_resilient_queue.stores.rows import Entry

    return Entry(snapshot(job_id), "ready")


def test_of_two_hundred_who_requeue_a_letter_one_does() -> None:
    letter = letter_of()

    def requeue(number: int) -> str:
        try:
            return front.requeue(DeadLetter.objects.get(pk=letter.pk), by=f"{number}")
        except LetterNotDead as error:
            return str(error)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(requeue, range(200)))
    assert said.count("job-r1") == 1
    others = [words for words in said if words != "job-r1"]
    assert all("is left as it is: it is requeued, by " in words for words in others)
    assert FallbackJob.objects.count() == 1


def test_a_requeue_takes_effect_with_the_commit(heard: list[tuple[str, str]]) -> None:
    letter = letter_of()
    del heard[:]
    with transaction.atomic():
        front.requeue(letter)
        transaction.set_rollback(True)
    letter.refresh_from_db()
    assert letter.status == Status.DEAD
    assert not FallbackJob.objects.exists()
    assert heard == []


def test_a_payload_that_cannot_be_trusted_is_not_requeued() -> None:
    letter = letter_of()
    DeadLetter.objects.update(payload=b"1" + b"x" * 60)
    letter.refresh_from_db()
    with pytest.raises(UndecodableSnapshot):
        front.requeue(letter)
    letter.refresh_from_db()
    assert letter.status == Status.DEAD


def test_with_the_database_away_nothing_is_requeued(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    letter = letter_of()
    database_server.kill()
    with pytest.raises(StoreError):
        front.requeue(letter)


# ---- corrections ------------------------------------------------------------------------------


def test_a_correction_replaces_the_keyword_arguments_and_is_kept(redis_server: RedisServer) -> None:
    letter = letter_of(kwargs={"email": "ann@exmaple.com", "order": 7})
    corrected = {"email": "ann@example.com", "order": 7}
    front.requeue(letter, kwargs=corrected, by="bob", reason="a typo")
    job = job_of("job-r1").to_job(front.get_queue().job_class, redis_server.client())
    assert (job.args, job.kwargs) == (("job",), corrected)
    assert "ann@example.com" in str(job.description)
    [correction] = Correction.objects.all()
    assert (correction.letter, correction.made_by, correction.reason) == (letter, "bob", "a typo")
    assert correction.before["kwargs"]["email"] == "ann@exmaple.com"
    assert correction.after["kwargs"] == corrected
    assert correction.diff == [
        {"op": "replace", "path": "/kwargs/email", "value": "ann@example.com"}
    ]
    assert letter.snapshot.fields["data"] != job_of("job-r1").fields["data"]


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), float("nan"), {1: "one"}, b"bytes", object])
def test_only_json_values_can_be_corrected(value: object) -> None:
    had = letter_of("had", kwargs={"x": value})
    given = letter_of("given", kwargs={"x": 1})
    with pytest.raises(ValueError, match="has arguments that are no JSON values"):
        front.requeue(had, kwargs={"x": 1})
    with pytest.raises(ValueError, match="was given arguments that are no JSON values"):
        front.requeue(given, kwargs={"x": value})
    assert not FallbackJob.objects.exists()
    assert not Correction.objects.exists()


def test_characters_that_no_database_stores_reach_the_job_and_are_marked_in_the_record(
    redis_server: RedisServer,
) -> None:
    letter = letter_of(kwargs={"x": "a\0b", "\0": ["\ud800"]})
    corrected = {"x": "a\0c", "\0": ["\ud800"], "path\0": {}}
    front.requeue(letter, kwargs=corrected)
    job = job_of("job-r1").to_job(front.get_queue().job_class, redis_server.client())
    assert job.kwargs == corrected
    [correction] = Correction.objects.all()
    assert correction.before["kwargs"] == {"x": "a\ufffdb", "\ufffd": ["\ufffd"]}
    assert {"op": "replace", "path": "/kwargs/x", "value": "a\ufffdc"} in correction.diff


def test_a_correction_of_a_letter_that_is_requeued_already_is_not_kept() -> None:
    letter = letter_of(kwargs={"x": 1})
    front.requeue(letter)
    with pytest.raises(LetterNotDead):
        front.requeue(letter, kwargs={"x": 2})
    assert not Correction.objects.exists()
    assert FallbackJob.objects.count() == 1


# ---- discard and restore ----------------------------------------------------------------------


def test_a_letter_is_discarded_once_and_restored_once(heard: list[tuple[str, str]]) -> None:
    letter = letter_of()
    front.discard(letter, by="ann", reason="a test order")
    assert (letter.status, letter.changed_by) == (Status.DISCARDED, "ann")
    with pytest.raises(LetterNotDead, match="it is discarded, by ann"):
        front.discard(letter, by="bob")
    with pytest.raises(LetterNotDead):
        front.requeue(letter)
    front.restore(letter, by="bob")
    with pytest.raises(LetterNotDead, match="it is dead, by bob"):
        front.restore(letter)
    assert front.requeue(letter) == "job-r1"
    assert [name for name, _ in heard] == [
        "job_dead_lettered",
        "dead_letter_discarded",
        "dead_letter_requeued",
    ]


def test_a_letter_that_is_gone_says_so() -> None:
    letter = letter_of()
    DeadLetter.objects.all().delete()
    with pytest.raises(LetterNotDead, match="it is gone"):
        front.discard(letter)


# ---- groups -----------------------------------------------------------------------------------


def test_the_same_error_of_two_jobs_has_one_fingerprint() -> None:
    one, two = letter_of("one"), letter_of("two")
    assert one.fingerprint == two.fingerprint
    assert one.category == "validation"
    other = fail(one.snapshot, Attempt("w", "t", timezone.now(), timezone.now()), FAILURE)
    assert other.ending is Ending.DEAD
