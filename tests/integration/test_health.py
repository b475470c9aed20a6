"""The health report: what it says of two stores, queues and workers, and how long it takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import pause_queue
from django_resilient_queue.health import HealthReport, Status, asking, collect
from django_resilient_queue.models import (
    BrokerState,
    DeadLetter,
    Outage,
    WorkerHeartbeat,
)
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import AWAY, least_seconds, queue, take_away
from tests.health import address, live_worker, waiting_row
from tests.jobs import fail, succeed
from tests.stores import QUEUES, snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def codes(report: HealthReport) -> list[str]:
    return [reason.code for reason in report.reasons]


def ago(**units: int) -> Any:
    return timezone.now() - timedelta(**units)


# ---- both stores up ----------------------------------------------------------------------------


def test_with_both_stores_and_a_worker_all_is_well() -> None:
    live_worker()
    report = collect()
    assert (report.status, codes(report)) == (Status.HEALTHY, [])
    assert report.database.is_up
    assert [each.store.is_up for each in report.brokers] == [True]
    assert report.database.latency is not None
    known = report.as_json()
    assert known["redis"]["status"] == "up"
    assert known["redis"]["circuit"] == "closed"
    assert known["workers"] == {"alive": 1, "by_mode": {"redis": 1}, "queues_without": []}
    assert known["metrics"]["lost"] == 0


def test_without_a_worker_jobs_are_accepted_and_not_executed() -> None:
    report = collect()
    assert (report.status, codes(report)) == (Status.CRITICAL, ["no_worker"])


def test_a_queue_without_a_worker_is_worse_when_jobs_wait_there() -> None:
    live_worker(queues="critical,high,default")
    assert (collect().status, codes(collect())) == (Status.DEGRADED, ["queue_unserved"])
    queue("low").enqueue(succeed)
    report = collect()
    assert (report.status, codes(report)) == (Status.CRITICAL, ["queue_stuck"])
    assert "low" in report.reasons[0].message


def test_a_paused_queue_is_no_reason_in_itself() -> None:
    live_worker()
    pause_queue("low")
    queue("low").enqueue(succeed)
    report = collect()
    assert report.status is Status.HEALTHY
    assert report.as_json()["paused"] == ["low"]


def test_a_worker_whose_heartbeat_is_old_is_not_alive() -> None:
    live_worker(seen_at=ago(hours=1))
    assert codes(collect()) == ["no_worker"]


def test_a_worker_with_a_wrong_clock_is_alive_when_its_heartbeat_moves() -> None:
    live_worker(seen_at=ago(hours=1))
    assert codes(collect()) == ["no_worker"]
    WorkerHeartbeat.objects.update(beat="2")
    assert codes(collect()) == []


def test_the_worker_of_another_redis_serves_no_queue_of_this_one() -> None:
    live_worker(broker="elsewhere:6379/0")
    assert codes(collect()) == ["queue_unserved"]


def test_counts_of_both_stores_and_the_age_of_the_oldest_job(redis_server: RedisServer) -> None:
    live_worker()
    first = queue().enqueue(succeed)
    queue().enqueue(succeed)
    queue().enqueue(succeed, at_front=True)  # does not hide the older ones behind it
    queue().enqueue_in(timedelta(hours=1), succeed)
    with redis_server.client() as client:
        long_ago = ago(seconds=100).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        client.hset(f"rq:job:{first.id}", "enqueued_at", long_ago)
    waiting_row("a", due_at=ago(seconds=50))
    waiting_row("b", due_at=timezone.now() + timedelta(hours=1))
    waiting_row("c", waits_for="dependencies")
    waiting_row("d", "low", State.CLAIMED)
    (default,) = [each for each in collect().as_json()["queues"] if each["name"] == "default"]
    assert default["waiting"] == 4
    assert 100 <= default["oldest_seconds"] < 160
    del default["redis"]["oldest_seconds"], default["database"]["oldest_seconds"]
    none = {"active": 0, "deferred": 0, "failed": 0}
    assert default["redis"] == {**none, "waiting": 3, "scheduled": 1}
    assert default["database"] == {**none, "waiting": 1, "scheduled": 1, "deferred": 1}
    report = collect()
    assert report.rows == {"dispatched": 4, "ready": 3, "claimed": 1, "finished": 0}
    assert 50 <= (report.age(report.oldest_row) or 0) < 110


def test_what_exceeds_a_limit_is_named(settings: Settings) -> None:
    live_worker()
    settings.RESILIENT_QUEUE = {
        "HEALTH_LIMITS": {"backlog": 1, "backlog_age": 60, "queue_age": 60, "dead_letters": 0}
    }
    for name in "ab":
        waiting_row(name, due_at=ago(seconds=61))
    died = DeadLetter.of(snapshot("x"), Failure(Reason.RAISED), attempts=1, died_at=ago(days=2))
    DeadLetter.objects.record([died])
    report = collect()
    assert report.status is Status.DEGRADED
    assert codes(report) == [
        "queue_late",
        "backlog",
        "backlog_late",
        "dead_letters",
        "dead_letter_old",
    ]


def test_rows_that_nobody_compares_with_redis_are_noticed() -> None:
    live_worker()
    waiting_row("a", state=State.DISPATCHED, check_at=ago(seconds=301))
    assert codes(collect()) == ["reconcile_late"]


def test_an_open_outage_is_named_while_redis_answers() -> None:
    live_worker(mode=Mode.DATABASE)
    Outage.objects.begin(address(), cause="refused", reported_by="w")
    report = collect()
    assert codes(report) == ["outage_open"]
    assert report.as_json()["fallback"]["active"]
    assert report.as_json()["last_outage"]["ended_at"] is None


def test_the_ledger_of_loss_paths_names_what_is_open_here(
    settings: Settings, redis_server: RedisServer
) -> None:
    live_worker()
    settings.RESILIENT_QUEUE = {"OUTBOX": {"low": False}}
    queue("low").enqueue(succeed)
    with redis_server.client() as client:
        client.sadd("drq:unprotected", "a", "b")
    report = collect()
    assert report.unprotected == 2
    assert [(p["code"], p["queues"], p["exposed"]) for p in report.loss_paths] == [
        ("unprotected", [], 2),
        ("outbox_off", ["low"], 1),
    ]


# ---- one store away ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", AWAY)
def test_redis_away_is_degraded_and_its_jobs_count_as_waiting_in_the_rows(
    redis_server: RedisServer, how: str
) -> None:
    live_worker(mode=Mode.DATABASE)
    queue().enqueue(succeed)
    take_away(redis_server, how)
    report = collect()
    assert (report.status, codes(report)) == (Status.DEGRADED, ["redis_away"])
    assert report.brokers[0].store.cause
    (default,) = [each for each in report.queues if each.name == "default"]
    assert (default.redis, default.waiting) == (None, 1)


def test_redis_away_for_long_is_critical(redis_server: RedisServer) -> None:
    live_worker(mode=Mode.DATABASE)
    Outage.objects.begin(address(), cause="refused", reported_by="w")
    Outage.objects.update(started_at=ago(hours=2))
    redis_server.kill()
    assert codes(collect()) == ["redis_long_away"]
    assert collect().status is Status.CRITICAL


def test_a_redis_that_takes_no_writes_is_away_and_still_tells(redis_server: RedisServer) -> None:
    live_worker()
    queue().enqueue(succeed)
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
        client.config_set("maxmemory-policy", "noeviction")
    report = collect()
    assert codes(report) == ["redis_away"]
    assert "used memory >" in report.brokers[0].store.cause
    assert report.queues[2].redis is not None


def test_the_database_away_is_degraded_and_redis_says_which_workers_there_are(
    database_server: ServerProcess,
    worker_process: StartWorker,
    redis_server: RedisServer,
    wait_until: WaitUntil,
) -> None:
    worker_process(*QUEUES)
    wait_until(lambda: collect().status is Status.HEALTHY)
    database_server.kill()
    # The worker tells the database that it is there before it tells Redis.
    wait_until(lambda: codes(collect()) == ["database_away"])
    report = collect()
    assert report.status is Status.DEGRADED
    assert (report.rows, report.dead_letters, report.counts) == (None, None, None)
    assert [each.workers for each in report.queues] == [1] * 4


def test_neither_store_is_down(database_server: ServerProcess, redis_server: RedisServer) -> None:
    database_server.kill()
    redis_server.kill()
    report = collect()
    assert (report.status, codes(report)) == (Status.DOWN, ["stores_away"])
    assert report.as_json()["workers"]["alive"] is None


@pytest.mark.alone
def test_two_frozen_stores_cost_less_than_a_second_and_one_thread_each(
    database_server: ServerProcess, redis_server: RedisServer
) -> None:
    collect()
    database_server.freeze()
    redis_server.freeze()
    assert least_seconds(collect) < 1
    report = collect()
    assert report.status is Status.DOWN
    assert "0.7 s" in report.database.cause
    for _ in range(3):
        collect()
    hanging = [each for each in asking._hanging["database default"] if not each.is_done]
    assert len(hanging) == 1


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole", "unreachable", "hold"])
def test_a_failing_network_costs_less_than_a_second(behind_proxy: FaultyProxy, fault: str) -> None:
    live_worker(mode=Mode.DATABASE)
    getattr(behind_proxy, fault)()
    assert least_seconds(collect) < 1
    assert "redis_away" in codes(collect())


def test_the_database_is_seen_again_when_it_is_back(
    database_server: ServerProcess, wait_until: WaitUntil
) -> None:
    live_worker()
    database_server.freeze()
    assert not collect().database.is_up
    database_server.thaw()
    wait_until(lambda: collect().database.is_up)


# ---- counts ------------------------------------------------------------------------------------


def test_workers_count_what_they_have_done_and_leave_their_counts_behind(
    worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    def counts() -> dict[str, Any]:
        known = collect().as_json()["metrics"]
        return {name: known[name] for name in ("total", "successful", "failed", "fallback_jobs")}

    running = worker_process("default")
    for _ in range(3):
        queue().enqueue(succeed, 1)
    queue().enqueue(fail)
    expected = {"total": 4, "successful": 3, "failed": 1, "fallback_jobs": 0}
    wait_until(lambda: counts() == expected)
    running.terminate()
    running.wait()
    assert not WorkerHeartbeat.objects.exists()
    assert counts() == expected
    assert BrokerState.objects.get().jobs_finished == 3


def test_jobs_run_from_the_database_are_counted(
    redis_server: RedisServer, worker_process: StartWorker, wait_until: WaitUntil
) -> None:
    redis_server.kill()
    for _ in range(2):
        queue().enqueue(succeed, 1)
    worker_process("default")
    wait_until(lambda: (collect().counts or {}).get("jobs_from_database") == 2)
    assert (collect().counts or {})["jobs_finished"] == 2


def test_however_many_rows_there_are_the_database_reads_a_bounded_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_worker()
    for n in range(5):
        waiting_row(f"r{n}")
    monkeypatch.setattr("django_resilient_queue.facts.database.MOST_ROWS", 3)
    known = collect().as_json()["fallback"]
    assert (known["rows"]["ready"], known["rows_are_at_least"]) == (3, True)
    monkeypatch.setattr("django_resilient_queue.facts.database.MOST_ROWS", 6)
    known = collect().as_json()["fallback"]
    assert (known["rows"]["ready"], known["rows_are_at_least"]) == (5, False)
