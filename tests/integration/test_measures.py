"""What processes count: enqueues, and what workers do, once each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from rq import SimpleWorker
from rq.queue import Queue

from django_resilient_queue.facts import enqueue_durations, measures, performed_by_store
from django_resilient_queue.meter import OTHER, Key, Kind
from django_resilient_queue.models import DeadLetter, Outage
from django_resilient_queue.recovery.prune import bury_unknown_queues
from django_resilient_queue.stores import measures as writing
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.links import address_of
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import WAYS, queue, seconds
from tests.health import waiting_row
from tests.jobs import enqueue_another, fail, succeed
from tests.measures import counted, key, write
from tests.rows import make_outage
from tests.stores import DatabaseBench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


# ---- enqueues ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_is_counted_once_a_job(way: str) -> None:
    jobs = WAYS[way]()
    assert counted() == {key(Kind.ENQUEUED): len(jobs)}


@pytest.mark.parametrize("way", WAYS)
def test_in_a_transaction_it_is_counted_at_the_commit_by_the_store_that_has_it(way: str) -> None:
    with transaction.atomic():
        jobs = WAYS[way]()
        assert not writing.meter
    assert counted() == {key(Kind.ENQUEUED): len(jobs)}


def test_what_somebody_says_of_a_job_is_no_type() -> None:
    queue().enqueue(succeed, 1, description="invoice_4711")
    queue().enqueue(succeed, 1, description="bob(4711)")
    assert counted() == {key(Kind.ENQUEUED): 2}


def test_what_is_rolled_back_is_not_counted() -> None:
    with transaction.atomic():
        queue().enqueue(succeed, 1)
        transaction.set_rollback(True)
    assert counted() == {}


def test_the_time_of_the_callers_transaction_is_not_that_of_the_enqueue() -> None:
    with transaction.atomic():
        own = seconds(lambda: queue().enqueue(succeed, 1))
        time.sleep(0.2)
        committed = time.perf_counter()
    own += time.perf_counter() - committed
    write()
    assert 0 < enqueue_durations().seconds <= own


@pytest.mark.parametrize("is_atomic", [False, True])
def test_jobs_that_the_database_took_count_there(
    redis_server: RedisServer, is_atomic: bool
) -> None:
    redis_server.kill()
    for _ in range(7):  # before and after the circuit opens
        if is_atomic:
            with transaction.atomic():
                queue().enqueue(succeed, 1)
        else:
            queue().enqueue(succeed, 1)
    found = counted()
    assert found[key(Kind.ENQUEUED, store="database")] == 7
    assert found[Key(Kind.CIRCUIT, detail="open")] == 1
    assert found[Key(Kind.OUTAGE)] == 1


def test_an_outage_knows_how_many_jobs_were_stored_and_how_long_that_took(
    redis_server: RedisServer,
) -> None:
    long_ago = make_outage(address(), ended_at=timezone.now() - timedelta(hours=1))
    redis_server.kill()
    began = time.perf_counter()
    for number in range(7):  # the circuit opens meanwhile, and tells of the outage
        queue().enqueue(succeed, number)
    longest = time.perf_counter() - began
    write()
    outage = Outage.objects.get(ended_at=None)
    assert outage.jobs_stored == 7
    assert 0 < outage.slowest_enqueue < longest
    long_ago.refresh_from_db()
    assert long_ago.jobs_stored == 0


def test_what_is_told_after_the_end_of_an_outage_counts_for_it(redis_server: RedisServer) -> None:
    redis_server.kill()
    for number in range(7):
        queue().enqueue(succeed, number)
    Outage.objects.end(address())
    write()
    assert Outage.objects.get().jobs_stored == 7


def address() -> str:
    return address_of(queue().connection)


def test_unprotected_and_refused_enqueues_are_counted(
    database_server: ServerProcess, redis_server: RedisServer
) -> None:
    database_server.kill()
    queue().enqueue(succeed, 1)
    redis_server.kill()
    with pytest.raises(Exception, match="refused"):
        queue().enqueue(succeed, 1)
    sums = {key: each.count for key, each in writing.meter.take().items()}
    assert sums[Key(Kind.UNPROTECTED, "default")] == 1
    assert sums[key(Kind.ENQUEUED)] == 1
    assert sums[Key(Kind.REFUSED, "default", detail="refused")] == 1


def test_the_histogram_of_durations_is_cumulative() -> None:
    took = sum(seconds(lambda: queue().enqueue(succeed, 1)) for _ in range(3))
    write()
    found = enqueue_durations()
    assert len(found.counts) == len(found.bounds) + 1
    assert list(found.counts) == sorted(found.counts)
    assert found.total == 3
    assert 0 < found.seconds <= took


def test_without_a_figure_the_facts_are_zeros() -> None:
    assert enqueue_durations().total == 0
    assert performed_by_store() == {"redis": 0, "database": 0}
    assert measures() == {}


# ---- what workers count ------------------------------------------------------------------------


def test_workers_count_attempts_their_time_and_how_long_jobs_waited(
    worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    for _ in range(3):
        queue().enqueue(succeed, 1)
    queue().enqueue(fail)
    worker_process("default", settings={"METRICS_INTERVAL": 0.1})
    wait_until(lambda: performed_by_store() == {"redis": 4, "database": 0})
    found = measures()
    assert found[key(Kind.PERFORMED)].count == 3
    dead = found[key(Kind.PERFORMED, "tests.jobs.fail")]
    assert (dead.count, dead.failed, sum(dead.buckets)) == (1, 1, 1)
    waited = found[Key(Kind.WAITED, "default", store="redis")]
    assert waited.count == 4
    assert waited.seconds > 0


def failed() -> Mapping[str, tuple[int, int]]:
    """How many attempts have ended, and how many jobs died, by job type."""
    write()
    by_type: dict[str, tuple[int, int]] = {}
    for each, sums in measures().items():
        if each.kind == Kind.PERFORMED:
            ended, died = by_type.get(each.job_type, (0, 0))
            by_type[each.job_type] = ended + sums.count, died + sums.failed
    return by_type


def test_jobs_that_die_without_an_attempt_count_as_dead_once() -> None:
    bench = DatabaseBench()
    bench.put("late", ttl=60)
    bench.outlive("late")
    bench.put("spoilt")
    bench.spoil("spoilt")
    with transaction.atomic():
        assert bench.worker("w").claim() == []
        transaction.set_rollback(True)
    assert failed() == {}, "what was rolled back did not die"
    assert bench.worker("w").claim() == []
    assert failed() == {"tests.jobs.succeed": (0, 1), OTHER: (0, 1)}
    assert bench.worker("w").claim() == []
    assert failed() == {"tests.jobs.succeed": (0, 1), OTHER: (0, 1)}


def test_jobs_of_a_queue_that_there_is_no_more_count_as_dead() -> None:
    waiting_row("a", "gone", created_at=timezone.now() - timedelta(hours=1))
    station: Any = SimpleNamespace(table=DatabaseStore())
    assert bury_unknown_queues(station) == 1
    assert bury_unknown_queues(station) == 0
    assert failed() == {"tests.jobs.succeed": (0, 1)}


def test_jobs_that_died_by_a_worker_of_plain_rq_count_as_dead(
    worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    plain = Queue("default", connection=queue().connection)
    plain.enqueue(fail)
    SimpleWorker([plain], connection=plain.connection).work(burst=True, logging_level="CRITICAL")
    queue().enqueue(fail)  # whose worker counts it itself
    worker_process("default", settings={"METRICS_INTERVAL": 0.1})
    wait_until(lambda: DeadLetter.objects.count() == 2)
    wait_until(lambda: failed().get("tests.jobs.fail") == (1, 2))


def test_a_worker_that_ends_leaves_nothing_uncounted(
    redis_server: RedisServer, worker_process: StartWorker
) -> None:
    redis_server.kill()
    for _ in range(2):
        queue().enqueue(succeed, 1)
    running = worker_process("default", options=["--burst"], settings={"METRICS_INTERVAL": 3600})
    running.wait()
    assert performed_by_store() == {"redis": 0, "database": 2}
    assert measures()[Key(Kind.WAITED, "default", store="database")].count == 2


def test_what_a_job_enqueues_is_counted_by_its_worker(
    worker_process: StartWorker, wait_until: WaitUntil, tmp_path: Path
) -> None:
    queue().enqueue(enqueue_another, str(tmp_path / "ledger"), 1)
    worker_process("default", settings={"METRICS_INTERVAL": 0.1})
    its_own = key(Kind.ENQUEUED, "tests.jobs.record")
    wait_until(lambda: measures().get(its_own))
    assert measures()[its_own].count == 1


def test_a_process_that_was_a_worker_for_a_while_writes_by_a_thread_again(
    settings: Settings, wait_until: WaitUntil
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_INTERVAL": 0.05}
    queue().enqueue(succeed, 1)
    with writing.tended():
        assert writing._writing._thread is None
        queue().enqueue(succeed, 1)
        assert writing._writing._thread is None
    queue().enqueue(succeed, 1)
    wait_until(lambda: enqueue_durations().total == 3)


def test_rows_that_drain_are_counted(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    redis_server.kill()
    for _ in range(3):
        queue("low").enqueue(succeed, 1)
    redis_server.start()
    worker_process("default", settings={"METRICS_INTERVAL": 0.1})
    wait_until(lambda: measures().get(Key(Kind.DRAINED)))
    assert measures()[Key(Kind.DRAINED)].count == 3
