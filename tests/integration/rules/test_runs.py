"""Recovery runs: what is requeued, how fast, and when a run stops by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_resilient_queue import (
    Selection,
    cancel_run,
    discard,
    pause_run,
    requeue,
    restore,
    resume_run,
    start_run,
)
from django_resilient_queue.models import DeadLetter, FallbackJob, RecoveryRun
from django_resilient_queue.recovery import runs
from django_resilient_queue.recovery.runs import Turn, drive_runs
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.rows import Entry
from tests.integration.rules.bench import Clock, DrivenWorker
from tests.letters import die
from tests.stores import snapshot

ALL = Selection()


class Driver:
    """A worker that is on duty."""

    def __init__(self, worker: DrivenWorker, clock: Clock) -> None:
        self.worker, self.clock = worker, clock
        self.turns: dict[int, Turn] = {}

    def drive(self, seconds: float = 1.0) -> int:
        self.clock.advance(seconds)
        return drive_runs(self.worker.station, self.turns)


@pytest.fixture
def driver(ann: DrivenWorker, clock: Clock) -> Driver:
    return Driver(ann, clock)


def rows() -> list[str]:
    return list(FallbackJob.objects.order_by("pk").values_list("job_id", flat=True))


def outcomes(run: RecoveryRun) -> dict[str, str]:
    return dict(run.items.order_by("pk").values_list("letter__job_id", "outcome"))


def statuses() -> dict[str, str]:
    return dict(DeadLetter.objects.values_list("job_id", "status"))


def finish_all(*job_ids: str) -> None:
    """As if the requeued jobs of these had finished."""
    DeadLetter.objects.filter(job_id__in=job_ids).update(status="recovered")


def test_a_run_requeues_what_is_selected_and_says_what_it_did(driver: Driver) -> None:
    die("a", "b", error_class="Gone")
    die("c", error_class="Other")
    run = start_run(Selection(error_class="Gone"), reason="mended", by="ann", rate=100)
    assert run.total == 2
    assert [driver.drive(), driver.drive(), driver.drive()] == [1, 1, 0]
    run.refresh_from_db()
    assert (run.status, run.requeued, run.ended_at is not None) == ("finished", 2, True)
    assert rows() == ["a-r1", "b-r1"]
    assert outcomes(run) == {"a": "requeued", "b": "requeued"}
    assert DeadLetter.objects.get(job_id="a").changed_by == f"recovery run {run.pk}"
    assert statuses()["c"] == "dead"


def test_a_run_goes_no_faster_than_its_rate(driver: Driver) -> None:
    die(*"abcdefgh")
    start_run(ALL, rate=2)
    assert [driver.drive(seconds) for seconds in (0, 0.25, 0.25, 2, 0.125)] == [1, 0, 1, 4, 0]


def test_workers_of_two_redis_go_no_faster_together(
    driver: Driver, bob: DrivenWorker, clock: Clock
) -> None:
    """Each Redis has a worker on duty."""
    die(*(f"job-{number}" for number in range(40)))
    run, other = start_run(ALL, rate=2), Driver(bob, clock)
    done = [each.drive(0.25) for _ in range(16) for each in (driver, other)]  # in 8 seconds
    assert 16 <= sum(done) <= 18
    # When one is gone, the other does all of it.
    assert sum(other.drive(0.25) for _ in range(16)) in (8, 9)
    run.refresh_from_db()
    assert (run.requeued, run.skipped) == (len(rows()), 0)


def test_a_slow_run_still_goes_on(driver: Driver) -> None:
    die(*"ab")
    start_run(ALL, rate=0.125)
    assert [driver.drive(seconds) for seconds in (0, 4, 4, 0.125)] == [1, 0, 1, 0]


def test_another_driver_goes_on_where_the_first_one_stopped(
    driver: Driver, bob: DrivenWorker, clock: Clock
) -> None:
    die(*"abcdef")
    run = start_run(ALL, rate=2)
    driver.drive(0)
    driver.drive(1)
    other = Driver(bob, clock)
    for _ in range(4):
        other.drive(1)
    run.refresh_from_db()
    assert rows() == [f"{job_id}-r1" for job_id in "abcdef"]
    assert (run.status, run.requeued) == ("finished", 6)


def test_two_drivers_at_once_count_a_letter_once(driver: Driver) -> None:
    [letter] = die("a")
    run = start_run(ALL, rate=100)
    driver.drive()
    runs._handle(run, letter)  # as one that had read the letter before
    run.refresh_from_db()
    assert (run.requeued, run.skipped) == (1, 0)
    assert rows() == ["a-r1"]


def test_a_run_that_can_not_be_driven_keeps_no_other_waiting(driver: Driver) -> None:
    """Its selection is of a newer version, in a rolling deployment."""
    die("a")
    strange = start_run(ALL)
    RecoveryRun.objects.filter(pk=strange.pk).update(selection={"colour": "red"})
    run = start_run(ALL, rate=100)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such criterion: 'colour'"):
            driver.drive()
    run.refresh_from_db()
    assert (run.status, run.requeued) == ("finished", 1)


def test_what_dies_after_its_start_is_no_part_of_a_run(driver: Driver) -> None:
    die("a")
    run = start_run(ALL, rate=100)
    DeadLetter.objects.update(died_at=run.created_at)
    die("later")
    DeadLetter.objects.filter(job_id="later").update(died_at=run.created_at + timedelta(seconds=1))
    for _ in range(3):
        driver.drive()
    assert rows() == ["a-r1"]


@pytest.mark.parametrize("deed", ["requeue", "discard", "restore"])
def test_what_a_clock_ahead_of_its_own_had_changed_before_it_is_part_of_a_run(
    driver: Driver, deed: str
) -> None:
    letters, ahead = die(*"abc"), timezone.now() + timedelta(minutes=5)
    for letter in letters:
        discard(letter)
        if deed != "restore":
            restore(letter)
    DeadLetter.objects.filter(job_id="a").update(changed_at=ahead)
    DeadLetter.objects.filter(job_id="b").update(died_at=ahead)
    run = start_run(ALL, rate=100, deed=deed)
    # Somebody else deals with the third, and changes their mind.
    for undo in (restore, discard) if deed == "restore" else (discard, restore):
        undo(letters[2])
    DeadLetter.objects.filter(job_id="c").update(changed_at=ahead)
    [later] = die("later")
    if deed == "restore":
        discard(later)
    DeadLetter.objects.filter(pk=later.pk).update(died_at=ahead)
    for _ in range(4):
        driver.drive()
    assert outcomes(run).keys() == {"a", "b"}


def test_a_letter_that_somebody_else_deals_with_is_skipped_and_one_that_cannot_be_is_refused(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = die("a", "b")
    DeadLetter.objects.filter(pk=second.pk).update(payload=b"nonsense")
    run = start_run(ALL, rate=100)
    following = runs._next_letters

    def just_before(*args: Any) -> list[DeadLetter]:
        found = following(*args)
        if any(letter.pk == first.pk for letter in found):
            requeue(first, by="bob")
        return found

    monkeypatch.setattr(runs, "_next_letters", just_before)
    for _ in range(3):
        driver.drive()
    run.refresh_from_db()
    assert (run.status, run.requeued, run.skipped, run.refused) == ("finished", 0, 1, 1)
    details = dict(run.items.values_list("letter__job_id", "detail"))
    assert details["a"] == "it is requeued, by bob"
    assert "the stored bytes have an unknown format" in details["b"]


def test_a_batch_takes_few_statements(driver: Driver, django_assert_max_num_queries: Any) -> None:
    die(*"abcdefgh")
    run = start_run(ALL, rate=100)
    with django_assert_max_num_queries(20):
        assert drive_many(driver, run) == 8
    assert set(statuses().values()) == {"requeued"}


def test_who_only_changes_a_status_loads_no_payloads(driver: Driver) -> None:
    """A batch of hundreds may be hundreds of megabytes."""
    die(*"abc")
    run = start_run(ALL, rate=100, deed="discard")
    with CaptureQueriesContext(connections["default"]) as queries:
        assert drive_many(driver, run) == 3
    assert not [query["sql"] for query in queries if "payload" in query["sql"]]


def drive_many(driver: Driver, run: RecoveryRun) -> int:
    """A turn that may take as many letters as there are."""
    driver.turns[run.pk] = Turn(driver.clock.now, run.handled)
    return driver.drive()


def test_one_id_that_is_taken_keeps_no_other_letter_of_its_batch(driver: Driver) -> None:
    die(*"abc")
    DatabaseStore().insert(Entry(snapshot("b-r1"), "ready"))
    run = start_run(ALL, rate=100)
    assert drive_many(driver, run) == 3
    run.refresh_from_db()
    assert sorted(rows()) == ["a-r1", "b-r1", "b-r2", "c-r1"]
    assert (run.requeued, set(outcomes(run).values())) == (3, {"requeued"})


def test_letters_of_one_id_are_requeued_under_an_id_each(driver: Driver) -> None:
    letters = die(*["nightly"] * 30)
    run = start_run(ALL, rate=100)
    assert drive_many(driver, run) == len(letters) == 30
    run.refresh_from_db()
    assert (run.requeued, run.skipped) == (30, 0)
    assert len(set(rows())) == 30


def test_what_a_batch_leaves_is_looked_at_after_the_death_of_its_driver(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, _ = die(*"abc")
    DeadLetter.objects.filter(pk=second.pk).update(payload=b"nonsense")
    run = start_run(ALL, rate=100)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_handle", die_here)
        with pytest.raises(SystemExit):
            drive_many(driver, run)
    for _ in range(2):
        drive_many(driver, run)
    run.refresh_from_db()
    assert outcomes(run) == {"a": "requeued", "b": "refused", "c": "requeued"}
    assert (run.requeued, run.refused, run.status) == (2, 1, "finished")


def die_here(*args: object) -> None:
    raise SystemExit


# ---- canary -----------------------------------------------------------------------------------


def test_the_others_wait_until_the_canary_has_finished(driver: Driver) -> None:
    die(*"abcd")
    run = start_run(ALL, rate=100, canary=2)
    assert [driver.drive() for _ in range(3)] == [1, 1, 0]
    finish_all("a")
    assert driver.drive() == 0
    finish_all("a", "b")
    assert driver.drive() == 2
    driver.drive()
    run.refresh_from_db()
    assert run.status == "finished"


def test_two_drivers_at_once_requeue_no_more_than_the_canary(
    driver: Driver, bob: DrivenWorker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Redis has one, and both may have read the run before one of them takes its turn."""
    die(*"abcdef")
    run, following = start_run(ALL, rate=100, canary=2), runs._next_letters

    def the_other_first(*args: Any) -> list[DeadLetter]:
        monkeypatch.setattr(runs, "_next_letters", following)
        drive_many(Driver(bob, clock), run)
        return following(*args)

    monkeypatch.setattr(runs, "_next_letters", the_other_first)
    drive_many(driver, run)
    assert rows() == ["a-r1", "b-r1"]


def test_a_run_whose_canary_dies_again_pauses_itself(driver: Driver) -> None:
    first, *_ = die(*"abcd")
    run = start_run(ALL, rate=100, canary=1)
    driver.drive()
    [again] = die("a-r1")
    DeadLetter.objects.filter(pk=again.pk).update(requeued_from=first)
    assert [driver.drive(), driver.drive()] == [0, 0]
    run.refresh_from_db()
    assert (run.status, run.note) == ("paused", "the canary: a-r1 died again")
    assert resume_run(run)
    driver.drive()
    assert driver.drive() == 2


# ---- what an operator does --------------------------------------------------------------------


def test_a_run_is_paused_resumed_and_cancelled(driver: Driver) -> None:
    die(*"abcdef")
    run = start_run(ALL, rate=2)
    driver.drive(0)
    assert pause_run(run, note="a minute")
    assert not pause_run(run)
    assert driver.drive(10) == 0
    assert resume_run(run)
    assert not resume_run(run)
    assert driver.drive(1) == 1
    assert cancel_run(run)
    assert not cancel_run(run)
    assert driver.drive(10) == 0
    assert (run.status, len(rows())) == ("cancelled", 2)


@pytest.mark.parametrize("stop", [pause_run, cancel_run])
def test_what_is_stopped_after_its_driver_has_read_it_goes_no_further(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, stop: Any
) -> None:
    """A driver reads all runs and has them take their turns; that of the last is much later."""
    die(*"abc")
    run, following = start_run(ALL, rate=100), runs._next_letters

    def meanwhile(*args: Any) -> list[DeadLetter]:
        found = following(*args)
        assert stop(RecoveryRun.objects.get(pk=run.pk))
        return found

    monkeypatch.setattr(runs, "_next_letters", meanwhile)
    assert drive_many(driver, run) == 0
    assert (rows(), outcomes(run)) == ([], {})


def test_what_is_stopped_within_a_batch_goes_no_further(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are looked at one by one are as many as a batch."""
    die(*"abc")
    run, handle = start_run(ALL, rate=100), runs._handle

    def refuse(*args: Any) -> set[int]:
        return set()

    def handle_and_stop(*args: Any) -> None:
        handle(*args)
        cancel_run(RecoveryRun.objects.get(pk=run.pk))

    monkeypatch.setitem(runs._DOINGS, "requeue", runs._DOINGS["requeue"]._replace(together=refuse))
    monkeypatch.setattr(runs, "_handle", handle_and_stop)
    drive_many(driver, run)
    assert outcomes(run) == {"a": "requeued"}
    assert rows() == ["a-r1"]


def test_a_dry_run_counts_and_changes_nothing(driver: Driver) -> None:
    die(*"abc")
    run = start_run(ALL, dry_run=True)
    assert not run.pk
    assert run.total == 3
    assert driver.drive() == 0
    assert set(statuses().values()) == {"dead"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate": 0}, "a rate is more than 0 and at most 1000 a second, not 0"),
        ({"deed": "forget"}, "a run can requeue, discard, restore, not 'forget'"),
        ({"rate": 1001}, "not 1001"),
        ({"canary": -1}, "a canary is 0 to 1000 letters, not -1"),
        ({"canary": 1001}, "a canary is 0 to 1000 letters, not 1001"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(
    transactional_db: None, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        start_run(ALL, **options)
    assert not RecoveryRun.objects.exists()
