"""Samples: one a minute, thinned when they are old, and what charts make of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue.facts.history import (
    SPANS,
    History,
    history,
    quantile,
    throughput,
)
from django_resilient_queue.meter import ENQUEUE_BOUNDS, Key, Kind, Sums
from django_resilient_queue.models import Measure, Sample
from django_resilient_queue.models.letter_tally import start_of_hour
from example_project.servers import RedisServer
from tests.acceptance.worker.stage import QUICK
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import queue
from tests.health import address, waiting_row
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sample(
    at: datetime, *, broker: str = "b", redis: int = 0, database: int = 0, **values: Any
) -> Sample:
    """One as a worker writes it, five seconds into its minute."""
    noted: Sample = Sample.objects.create(
        broker=broker,
        minute=at,
        taken_at=at + timedelta(seconds=5),
        **{"performed": {"default": [redis, database]}, "waiting": 0, **values},
    )
    return noted


def newest_sample() -> Sample:
    """There are two where a minute has just ended."""
    return Sample.objects.latest("minute")


def chart(span: str = "hour", now: datetime = NOON) -> History:
    return history(SPANS[span], now, "default")


def buckets(*counts: int) -> list[int]:
    """Enqueues by bucket, those that nothing is said of being none."""
    return [*counts, *[0] * (len(ENQUEUE_BOUNDS) + 1 - len(counts))]


# ---- written ------------------------------------------------------------------------------------


def test_a_worker_notes_each_minute_what_waits_and_what_was_done(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    """The jobs of a queue that it does not listen to wait, too; and without Redis it goes on."""
    queue("low").enqueue(succeed, 1)
    queue("low").enqueue_in(timedelta(hours=1), succeed, 1)
    worker_process("default", settings={**QUICK, "METRICS_INTERVAL": 0.2})
    wait_until(Sample.objects.exists)
    noted = newest_sample()
    assert (noted.broker, noted.waiting, noted.dead) == (address(), 1, 0)
    assert set(noted.performed) == {"critical", "high", "default", "low"}
    assert noted.minute.second == 0
    redis_server.kill()
    queue("low").enqueue(succeed, 1)
    queue("default").enqueue(succeed, 1)
    wait_until(lambda: Measure.objects.filter(kind=Kind.PERFORMED, store="database").exists())
    Sample.objects.all().delete()
    wait_until(Sample.objects.exists)
    noted = newest_sample()
    assert noted.waiting == 2
    assert noted.performed["default"] == [0, 1]


def test_jobs_without_a_row_are_counted_in_redis(
    redis_server: RedisServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
    settings: Settings,
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "OUTBOX": False}
    queue("low").enqueue(succeed, 1)
    worker_process("default", settings={**QUICK, "OUTBOX": False})
    wait_until(Sample.objects.exists)
    assert newest_sample().waiting == 1


def test_of_two_workers_one_notes_a_minute() -> None:
    values: dict[str, Any] = {"taken_at": NOON, "waiting": 1}
    assert Sample.objects.take("b", NOON, **values)
    assert not Sample.objects.take("b", NOON, **{**values, "waiting": 2})
    assert Sample.objects.take("other", NOON, **values)
    assert Sample.objects.get(broker="b").waiting == 1


def test_what_is_old_is_thinned_and_then_forgotten() -> None:
    """Of an hour the last one stays, with the most that ever waited in it."""
    begin = start_of_hour(NOON - timedelta(days=2))
    rows = [
        Sample(
            broker="b", minute=begin + n * MINUTE, taken_at=begin, waiting=500 if n == 30 else n % 7
        )
        for n in range(48 * 60)
    ]
    Sample.objects.bulk_create(rows)
    sample(NOON - timedelta(days=9))
    foreign = sample(begin, broker="other")
    while Sample.objects.thin("b", NOON):
        pass
    kept = list(Sample.objects.filter(broker="b").order_by("minute"))
    hourly = [each for each in kept if each.is_hourly]
    assert 23 <= len(hourly) <= 26
    assert len(kept) - len(hourly) == 25 * 60
    assert (hourly[0].minute, hourly[0].waiting) == (begin + 59 * MINUTE, 500)
    assert Sample.objects.filter(pk=foreign.pk, is_hourly=False).exists()
    assert not Sample.objects.filter(minute__lt=NOON - timedelta(days=8)).exists()


def test_a_week_of_samples_is_a_few_rows() -> None:
    """Minutes of a day, hours of a week."""
    begin = NOON - timedelta(days=8)
    rows = [Sample(broker="b", minute=begin + n * MINUTE, taken_at=begin) for n in range(8 * 1440)]
    Sample.objects.bulk_create(rows, batch_size=500)
    while Sample.objects.thin("b", NOON):
        pass
    assert Sample.objects.count() <= 26 * 60 + 8 * 24 + 30


# ---- read ---------------------------------------------------------------------------------------


def test_a_chart_shows_attempts_a_minute_by_store() -> None:
    for n in range(11):
        sample(NOON - (10 - n) * MINUTE, redis=60 * n, database=6 * n, waiting=n, dead=2)
    shown = chart()
    assert len(shown.times) == 61
    assert shown.times[-1] == NOON.timestamp()
    assert shown.from_redis[-10:] == [60] * 10
    assert shown.from_database[-10:] == [6] * 10
    assert shown.waiting[-11:] == list(range(11))
    assert shown.dead[-1] == 2
    assert shown.performed == (600, 60)
    assert shown.from_redis[:-10] == [None] * 51


def test_a_time_without_samples_is_a_gap() -> None:
    """What came meanwhile is not smeared over it; one sample that came late is no gap."""
    for minutes_ago, done in ((20, 0), (19, 10), (17, 30), (5, 500), (4, 510)):
        sample(NOON - minutes_ago * MINUTE, redis=done)
    shown = chart()
    by_age = dict(zip(range(60, -1, -1), shown.from_redis, strict=True))
    assert {age for age, rate in by_age.items() if rate is not None} == {19, 17, 4}
    assert (by_age[19], by_age[17], by_age[4]) == (10, 10, 10)
    assert shown.waiting[-6] == 0
    assert shown.waiting[-11] is None


def test_sums_that_begin_anew_are_a_gap() -> None:
    sample(NOON - 2 * MINUTE, redis=100)
    sample(NOON - MINUTE, redis=3)
    assert set(chart().from_redis) == {None}


def test_several_redis_are_added_up() -> None:
    for broker in ("a", "b"):
        sample(NOON - MINUTE, broker=broker, redis=0, waiting=1, dead=1)
        sample(NOON, broker=broker, redis=30, waiting=4, dead=1)
    shown = chart()
    assert (shown.from_redis[-1], shown.waiting[-1], shown.dead[-1]) == (60, 8, 2)


def test_a_day_and_a_week_are_drawn_from_longer_intervals() -> None:
    """With the most that waited in each."""
    for n in range(180):
        sample(NOON - (179 - n) * MINUTE, redis=60 * n, waiting=900 if n == 100 else 1)
    for name, points in (("day", 289), ("week", 169)):
        shown = chart(name)
        assert len(shown.times) == points
        assert max(each for each in shown.waiting if each is not None) == 900
        rates = [each for each in shown.from_redis if each is not None]
        assert rates
        assert rates == pytest.approx([60] * len(rates))


def test_the_first_interval_of_all_shows_what_came_within_it() -> None:
    """A site that has just begun is no less busy in the chart of its day than in that of its hour;
    nor is one whose workers were away for an hour."""
    for n in range(5):
        sample(NOON - (10 - n) * MINUTE, redis=60 * n)
    shown = chart("day")
    assert [each for each in shown.from_redis if each is not None] == [60]
    assert shown.performed == chart().performed == (240, 0)


def test_the_latency_is_that_of_what_came_in_the_interval() -> None:
    sample(NOON - 2 * MINUTE, enqueued=buckets(1000))
    sample(NOON - MINUTE, enqueued=buckets(1000, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
    sample(NOON, enqueued=buckets(1000, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
    shown = chart()
    assert shown.p50[-2] == pytest.approx(0.0015, abs=0.0001)
    assert shown.p99[-2] == pytest.approx(0.002, abs=0.0001)
    assert shown.p50[-1] is None, "nothing was enqueued"


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        (buckets(), 0.5, None),
        (buckets(10), 0.5, 0.00025),
        (buckets(0, 0, 0, 4), 1.0, 0.003),
        ([*[0] * len(ENQUEUE_BOUNDS), 5], 0.99, 1.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(
    counts: list[int], share: float, seconds: float | None
) -> None:
    assert quantile(counts, share) == (None if seconds is None else pytest.approx(seconds))


def test_the_throughput_of_a_queue_is_what_it_did_since_a_minute_ago() -> None:
    now = timezone.now()
    sample(now - 3 * MINUTE, redis=0)
    sample(now - 2 * MINUTE, redis=10)
    sample(now - timedelta(seconds=20), redis=100)
    done = Sums(count=129)
    Measure.objects.add({Key(Kind.PERFORMED, "default", "job", "redis"): done}, shard=0)
    rates = throughput(now, connection.alias)
    assert rates["default"] == pytest.approx(119 / (115 / 60), rel=0.01)


def test_nothing_is_known_of_a_throughput_without_a_sample(redis_server: RedisServer) -> None:
    waiting_row("a")
    assert throughput(timezone.now(), connection.alias) == {}
