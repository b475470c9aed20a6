"""The tally says what counting the letters would say, whatever was done with them."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_resilient_queue import discard, requeue, restore
from django_resilient_queue.models import (
    BrokerState,
    DeadLetter,
    FallbackJob,
    LetterTally,
    letter_tally,
)
from django_resilient_queue.models.dead_letter import Change
from django_resilient_queue.models.letter_tally import KIND, Key, period_of
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery import statistics as numbers
from django_resilient_queue.recovery.retention import expire_letters
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.recovery.statistics import groups, statistics
from django_resilient_queue.recovery.tallying import fold_tally, recount
from tests.stores import snapshot

pytestmark = pytest.mark.django_db(transaction=True)

ERRORS = ("builtins.ValueError", "builtins.TimeoutError", "shop.Gone")
QUEUES = ("default", "low")


def letter(
    job_id: str, error_class: str = "E", queue_name: str = "default", *, hours: float = 0
) -> DeadLetter:
    """One that died so many hours ago, not saved."""
    died_at = timezone.now() - timedelta(hours=hours)
    failure = Failure(Reason.RAISED, error_class)
    return DeadLetter.of(snapshot(job_id, queue_name), failure, attempts=1, died_at=died_at)


def record(*job_ids: str, **values: Any) -> list[DeadLetter]:
    DeadLetter.objects.record([letter(job_id, **values) for job_id in job_ids])
    return list(DeadLetter.objects.filter(job_id__in=job_ids).order_by("pk"))


def counted(now: datetime) -> Counter[Key]:
    """The letters, counted one by one."""
    sums: Counter[Key] = Counter()
    for each in DeadLetter.objects.all():
        kind = (each.status, *(getattr(each, name) for name in KIND))
        sums[Key.of_kind(kind, *period_of(each.died_at, now))] += 1
        sums[Key.of_print(kind, each.fingerprint)] += 1
    return sums


def tallied(now: datetime) -> Counter[Key]:
    sums: Counter[Key] = Counter()
    for row in LetterTally.objects.all():
        sums[row.key.at(now)] += row.count
    return Counter({key: count for key, count in sums.items() if count})


class Walk:
    """Does with letters whatever can be done with them, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.made = 0

    def step(self) -> None:
        acts: list[Callable[[], object]] = [
            self.die,
            self.die,
            self.die_again,
            self.requeue_one,
            self.discard_one,
            self.discard_some,
            self.restore_all,
            self.recover_some,
            self.expire_some,
            fold_tally,
        ]
        self.chance.choice(acts)()

    def die(self) -> None:
        found = []
        for _ in range(self.chance.randint(1, 5)):
            self.made += 1
            hours = self.chance.choice((0.1, 3, 25, 27, 90, 400))
            error, queue = self.chance.choice(ERRORS), self.chance.choice(QUEUES)
            found.append(letter(f"job-{self.made}", error, queue, hours=hours))
        DeadLetter.objects.record(found)

    def die_again(self) -> None:
        """Reported by another path: with letters that are new."""
        for known in DeadLetter.objects.order_by("?")[:1]:
            twin = DeadLetter.of(known.snapshot, Failure(Reason.RAISED, "E"), attempts=1)
            self.made += 1
            DeadLetter.objects.record([twin, letter(f"job-{self.made}")])

    def pick(self, status: str, count: int = 1) -> list[DeadLetter]:
        there = list(DeadLetter.objects.filter(status=status).order_by("pk"))
        return self.chance.sample(there, min(count, len(there)))

    def requeue_one(self) -> None:
        for each in self.pick("dead"):
            requeue(each)

    def discard_one(self) -> None:
        for each in self.pick("dead"):
            discard(each)

    def discard_some(self) -> None:
        chosen = Selection(error_class=self.chance.choice(ERRORS), queue_name="low")
        chosen.among(DeadLetter.objects.dead()).discard(Change("ann"))

    def restore_all(self) -> None:
        for each in self.pick("discarded", 3):
            restore(each)

    def recover_some(self) -> None:
        DeadLetter.objects.recover([each.pk for each in self.pick("requeued", 4)])

    def expire_some(self) -> None:
        pks = [each.pk for each in self.pick("dead", 2)]
        DeadLetter.objects.filter(pk__in=pks).update(died_at=timezone.now() - timedelta(days=31))
        recount()  # the tally is not told of such an update
        assert expire_letters() >= len(pks)


@pytest.mark.parametrize("few", [0, 500])
@pytest.mark.parametrize("seed", range(3))
def test_after_any_sequence_of_changes_the_tally_is_what_counting_gives(
    seed: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_tally, "_FEW", few)  # above it the database counts
    walk = Walk(seed)
    for _ in range(60):
        walk.step()
        now = timezone.now()
        assert tallied(now) == counted(now)
    assert recount() == 0
    while fold_tally():
        pass
    later = timezone.now() + timedelta(days=4)
    with transaction.atomic():
        while LetterTally.objects.fold(later, 500):
            pass
    assert (
        tallied(later)
        == counted(later)
        == Counter({row.key: row.count for row in LetterTally.objects.all()})
    )


def test_a_rollback_takes_the_tally_along() -> None:
    first, _ = record("a", "b")
    with transaction.atomic():
        record("c")
        requeue(first)
        transaction.set_rollback(True)
    assert statistics()["by_status"] == {"dead": 2}


@pytest.mark.parametrize("few", [0, 500])
def test_changes_in_bulk_take_a_few_rows(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_tally, "_FEW", few)
    for start in range(0, 200, 50):
        record(*(f"{n}" for n in range(start, start + 50)))
    before = LetterTally.objects.count()
    assert DeadLetter.objects.dead().discard(Change("ann")) == 200
    assert LetterTally.objects.count() - before == 4
    assert statistics()["by_status"] == {"discarded": 200}


def test_folding_makes_one_row_a_key_and_none_of_what_is_gone() -> None:
    for n in range(5):
        record(f"{n}")
    gone = record("gone", error_class="Gone")
    DeadLetter.objects.filter(pk=gone[0].pk).expire([gone[0].pk])
    assert fold_tally() == 14
    assert fold_tally() == 0
    assert sorted(LetterTally.objects.values_list("count", flat=True)) == [5, 5]


def test_periods_grow_longer_with_age() -> None:
    for hours in (30, 31, 32, 300, 400):
        moment = timezone.now() - timedelta(hours=hours)
        DeadLetter.objects.record([letter(f"{hours}", hours=hours)])
        assert period_of(moment, moment)[0] == 0
    LetterTally.objects.filter(fingerprint="").delete()
    long_ago = timezone.now() - timedelta(days=30)
    LetterTally.objects.add(DeadLetter.objects.defer("fingerprint"), long_ago)
    LetterTally.objects.exclude(fingerprint="").delete()
    assert LetterTally.objects.values("period").distinct().count() == 5
    while fold_tally():
        pass
    assert LetterTally.objects.values("period").distinct().count() <= 3
    assert tallied(timezone.now()) == Counter(
        {key: n for key, n in counted(timezone.now()).items() if not key.fingerprint}
    )


@pytest.fixture
def threads() -> Callable[..., None]:
    """Runs functions at the same time, each on a connection of its own."""

    def run(*functions: Callable[[], object]) -> None:
        problems: list[Exception] = []

        def guarded(function: Callable[[], object]) -> None:
            try:
                function()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
                problems.append(error)
            finally:
                connections.close_all()

        started = [threading.Thread(target=guarded, args=(each,)) for each in functions]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        assert problems == []

    return run


def test_folding_counting_and_recounting_at_once_lose_nothing(
    threads: Callable[..., None],
) -> None:
    def die(name: str) -> Callable[[], object]:
        return lambda: [record(f"{name}-{n}") for n in range(25)]

    def fold() -> None:
        for _ in range(25):
            fold_tally(10)

    def recount_often() -> None:
        assert [recount() for _ in range(10)] == [0] * 10

    BrokerState.objects.create(name="a Redis")  # as there is one wherever a worker folds
    threads(die("a"), die("b"), fold, fold, recount_often)
    assert tallied(timezone.now()) == counted(timezone.now())
    assert statistics()["total"] == 50


def test_the_same_death_recorded_at_once_counts_once(threads: Callable[..., None]) -> None:
    twins = [letter(f"{n}") for n in range(20)]

    def report() -> None:
        for each in twins:
            copy = DeadLetter.of(each.snapshot, Failure(Reason.RAISED, "E"), attempts=1)
            DeadLetter.objects.record([copy])

    threads(report, report, report)
    assert statistics()["total"] == 20 == DeadLetter.objects.count()


def test_a_recount_puts_right_what_was_changed_behind_the_tally(capsys: Any) -> None:
    record("a", "b", error_class="E")
    DeadLetter.objects.filter(job_id="a").delete()
    LetterTally.objects.filter(fingerprint="").delete()
    assert recount() > 0
    assert recount() == 0
    assert statistics()["total"] == 1
    assert [group["count"] for group in groups()] == [1]


# ---- what is read -----------------------------------------------------------------------------


def by_counting(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same numbers without the tally."""
    with monkeypatch.context() as patch:
        patch.setattr(Selection, "is_of_kinds", False)
        return {**statistics(selection), "groups": groups(selection)}


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(error_class="shop.Gone", queue_name="low"),
        Selection(category="timeout", priority=5),
        Selection(handler="tests.jobs.succeed", reason="raised"),
        Selection(handler="no.such"),
        Selection(queue_name="low"),
    ],
)
def test_the_tally_gives_the_numbers_that_counting_gives(
    selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(1)
    for _ in range(20):
        walk.die()
    walk.discard_some()
    walk.requeue_one()
    found = {**statistics(selection), "groups": groups(selection)}
    assert found == by_counting(selection, monkeypatch)
    while fold_tally():
        pass
    assert {**statistics(selection), "groups": groups(selection)} == found


def test_a_group_is_there_though_its_rows_are_folded_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for n in range(3):
        record(f"{n}")
    look, folds = numbers._ends, [fold_tally]

    def fold_first(*args: Any) -> Any:
        while folds:
            folds.pop()()
        return look(*args)

    monkeypatch.setattr(numbers, "_ends", fold_first)
    assert [group["count"] for group in groups()] == [3]


def test_a_fingerprint_is_counted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(2)
    for _ in range(20):
        walk.die()
    chosen = Selection(fingerprint=groups()[0]["fingerprint"])
    found = statistics(chosen)
    assert found["total"] == groups()[0]["count"] == sum(found["by_age"].values())
    assert {**found, "groups": groups(chosen)} == by_counting(chosen, monkeypatch)


@pytest.mark.parametrize("minute", [0, 1, 29, 59])
@pytest.mark.parametrize("hour", [0, 1, 12, 23])
def test_ages_are_exact_at_any_time_of_day(
    hour: int, minute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now().replace(hour=hour, minute=minute, second=30)
    edges = [timedelta(hours=1), timedelta(days=1), timedelta(days=7)]
    second = timedelta(seconds=1)
    ages = [edge + shift for edge in edges for shift in (-second, second)]
    ages += [timedelta(seconds=1), timedelta(days=20), timedelta(hours=26), timedelta(days=8)]
    monkeypatch.setattr(timezone, "now", lambda: now)
    for n, age in enumerate(ages):
        failure = Failure(Reason.RAISED, "E")
        made = DeadLetter.of(snapshot(f"{n}"), failure, attempts=1, died_at=now - age)
        DeadLetter.objects.record([made])
    while fold_tally():
        pass
    assert statistics()["by_age"] == {
        "under 1 hour": 2,
        "under 1 day": 2,
        "under 1 week": 3,
        "older": 3,
    }


def test_statistics_read_no_letters_but_those_at_the_edges(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("a", "b")
    monkeypatch.setattr(numbers, "Count", None)  # counting letters would fail
    with django_assert_max_num_queries(6):
        assert statistics()["total"] == 2
    with django_assert_max_num_queries(2):
        assert groups()[0]["count"] == 2
    assert not FallbackJob.objects.exists()
