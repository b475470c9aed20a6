"""What a scrape says of two stores, and that it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import CollectorRegistry
from pytest_django import Settings

from django_resilient_queue import pause_queue
from django_resilient_queue.contrib import prometheus
from django_resilient_queue.facts import Sightings
from django_resilient_queue.meter import OTHER, Key, Kind
from django_resilient_queue.metrics import FAMILIES, answers
from django_resilient_queue.metrics.families import COUNTER
from django_resilient_queue.models import DeadLetter, Outage, RecoveryRun
from django_resilient_queue.models.dead_letter import Change
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.stores import measures as writing
from example_project.servers import RedisServer
from tests.conftest import WaitUntil
from tests.enqueueing import queue
from tests.health import address, live_worker, waiting_row
from tests.integration.metrics.scrape import JOB, Scrape, page
from tests.jobs import succeed
from tests.stores import snapshot
from tests.workers import worker_environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def letter(job_id: str, reason: Reason = Reason.RAISED, **values: object) -> None:
    DeadLetter.objects.record([DeadLetter.of(snapshot(job_id), Failure(reason), attempts=1)])
    if values:
        DeadLetter.objects.filter(job_id=job_id).update(**values)


# ---- what it says ------------------------------------------------------------------------------


def test_what_was_counted() -> None:
    queue().enqueue(succeed, 1)
    writing.count(Key(Kind.PERFORMED, "default", "a.b", "redis"), seconds=0.2, failed=1)
    writing.count(Key(Kind.PERFORMED, "default", "a.b", "database"), seconds=2, retried=1)
    writing.count(Key(Kind.WAITED, "default", store="redis"), seconds=0.5)
    writing.count(Key(Kind.LOST, detail="outbox_off"), 3)
    writing.write(alias="default")
    scrape = Scrape()
    assert scrape("drq_jobs_enqueued_total", **JOB) == 1
    a_b = {"queue": "default", "job_type": "a.b"}
    assert scrape("drq_jobs_executed_total", **a_b, backend="redis") == 1
    assert scrape("drq_jobs_failed_total", **a_b, backend="redis") == 1
    assert scrape("drq_jobs_retried_total", **a_b, backend="database") == 1
    assert scrape("drq_job_processing_seconds_count", **a_b) == 2
    assert scrape("drq_job_processing_seconds_sum", **a_b) == pytest.approx(2.2)
    assert scrape("drq_job_processing_seconds_bucket", **a_b, le="0.25") == 1
    assert scrape("drq_job_processing_seconds_bucket", **a_b, le="+Inf") == 2
    waited = {"queue": "default", "backend": "redis"}
    assert scrape("drq_job_waiting_seconds_bucket", **waited, le="0.25") == 0
    assert scrape("drq_job_waiting_seconds_bucket", **waited, le="0.5") == 1
    assert scrape("drq_enqueue_duration_seconds_count", **waited) == 1
    assert scrape("drq_jobs_lost_total", path="outbox_off") == 3


def test_counters_are_there_before_anything_is_counted() -> None:
    scrape = Scrape()
    assert scrape("drq_jobs_drained_total") == 0
    assert scrape("drq_outages_total") == 0
    assert scrape("drq_jobs_lost_total", path="unprotected") == 0
    assert scrape("drq_circuit_transitions_total", state="open") == 0
    assert scrape("drq_enqueues_unprotected_total", queue="low") == 0
    assert scrape("drq_enqueues_refused_total", queue="low", outcome="refused") == 0


def test_queues_of_both_stores() -> None:
    queue().enqueue(succeed, 1)
    queue().enqueue_in(timedelta(hours=1), succeed, 1)
    waiting_row("a", due_at=timezone.now() - timedelta(seconds=50))
    waiting_row("b", "low", State.CLAIMED)
    pause_queue("high")
    scrape = Scrape()
    assert scrape("drq_queue_jobs", queue="default", backend="redis", state="waiting") == 1
    assert scrape("drq_queue_jobs", queue="default", backend="redis", state="scheduled") == 1
    assert scrape("drq_queue_jobs", queue="default", backend="database", state="waiting") == 1
    assert scrape("drq_queue_jobs", queue="low", backend="database", state="active") == 1
    age = scrape("drq_queue_oldest_age_seconds", queue="default", backend="database")
    assert 50 <= (age or 0) < 110
    assert scrape("drq_queue_oldest_age_seconds", queue="low", backend="redis") == 0
    assert scrape.of("drq_queue_paused", "queue") == {
        **dict.fromkeys(("critical", "default", "low"), 0),
        "high": 1,
    }
    assert scrape.of("drq_fallback_rows", "state") == {
        "dispatched": 2,
        "ready": 1,
        "claimed": 1,
        "finished": 0,
    }
    assert scrape("drq_fallback_rows_capped") == 0


def test_however_many_rows_there_are_a_bounded_part_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for n in range(4):
        waiting_row(f"r{n}")
    monkeypatch.setattr("django_resilient_queue.metrics.answers.MOST_ROWS", 3)
    scrape = Scrape()
    assert scrape("drq_fallback_rows", state="ready") == 3
    assert scrape("drq_fallback_rows_capped") == 1


def test_workers_and_outages() -> None:
    live_worker("a")
    live_worker("b", mode=Mode.DATABASE, queues="low")
    live_worker("gone", seen_at=timezone.now() - timedelta(hours=1))
    Outage.objects.begin(address(), cause="refused", reported_by="w")
    scrape = Scrape()
    assert scrape.of("drq_workers", "mode") == {
        "redis": 1,
        "database": 1,
        "starting": 0,
        OTHER: 0,
    }
    assert scrape.of("drq_queue_workers", "queue") == {
        "critical": 1,
        "high": 1,
        "default": 1,
        "low": 2,
    }
    assert scrape("drq_outage_open", server=address()) == 1
    assert scrape("drq_circuit_state", server=address(), state="closed") == 1
    assert scrape("drq_circuit_state", server=address(), state="open") == 0


def test_dead_letters_by_type_and_reason_and_those_that_runs_dealt_with() -> None:
    for name in "abc":
        letter(name)
    letter("d", Reason.KILLED)
    DeadLetter.objects.filter(job_id="a").discard(Change("ann"))
    RecoveryRun.objects.create(
        selection={}, created_at=timezone.now(), requeued=3, skipped=1, refused=2
    )
    scrape = Scrape()
    dead = {"job_type": "tests.jobs.succeed"}
    assert scrape("drq_dead_letters", **dead, reason="raised") == 2
    assert scrape("drq_dead_letters", **dead, reason="killed") == 1
    assert (scrape("drq_dead_letter_oldest_age_seconds") or 0) > 0
    assert scrape.of("drq_recovery_items_total", "outcome") == {
        "requeued": 3,
        "discarded": 0,
        "restored": 0,
        "skipped": 1,
        "refused": 2,
    }
    assert scrape.of("drq_recovery_runs", "status") == {"running": 1, "paused": 0}


def test_letters_of_many_types_fold_into_other(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TYPES": 1}
    for n in range(3):
        one = DeadLetter.of(snapshot(f"j{n}"), Failure(Reason.RAISED), attempts=1)
        one.handler = "shop.jobs.a" if n < 2 else "Mail to bob@example.org"
        DeadLetter.objects.record([one])
    assert Scrape().of("drq_dead_letters", "job_type") == {"shop.jobs.a": 2, OTHER: 1}


def test_two_processes_are_one_sum() -> None:
    code = (
        "import django; django.setup(); import django_rq; from tests.jobs import succeed\n"
        "from django_resilient_queue.stores import measures; measures._LAST_PATIENCE = 60.0\n"
        "for _ in range(2): django_rq.get_queue('default').enqueue(succeed, 1)"
    )
    environment = worker_environment(
        database_name=str(connection.settings_dict["NAME"]), redis_port=None, settings=None, rq=None
    )
    for _ in range(2):
        command = [sys.executable, "-c", code]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
    assert Scrape()("drq_jobs_enqueued_total", **JOB) == 4


def test_every_sample_is_of_a_family_with_its_labels() -> None:
    test_what_was_counted()
    live_worker()
    letter("a")
    known = {family.shown_name: set(family.labels) for family in FAMILIES.values()}
    for name, labels in Scrape().samples:
        base = name
        for ending in ("_bucket", "_count", "_sum"):
            base = base if base in known else base.removesuffix(ending)
        assert {label for label, _ in labels} - {"le"} == known[base], name


def test_a_family_without_a_sample_is_named_all_the_same() -> None:
    text = page()
    for family in FAMILIES.values():
        assert f"# HELP {family.shown_name} {family.meaning}" in text
    assert all(not family.name.endswith("_total") for family in FAMILIES.values())
    assert {f.kind for f in FAMILIES.values() if f.shown_name.endswith("_total")} == {COUNTER}


# ---- side effects ------------------------------------------------------------------------------


def test_a_scrape_changes_nothing(redis_server: RedisServer) -> None:
    queue().enqueue(succeed, 1)
    waiting_row("a")
    with redis_server.client() as client:
        # What rq's cleanups would move: an entry of a worker long gone.
        client.zadd("rq:wip:default", {"gone:1": 1})
        before = {key: client.dump(key) for key in client.keys("*")}
        with CaptureQueriesContext(connection) as queries:
            answers._fill(answers.DatabaseAnswer(), "default", Sightings())
        Scrape()
        assert {key: client.dump(key) for key in client.keys("*")} == before
    assert all(each["sql"].startswith("SELECT") for each in queries.captured_queries)
    assert len(queries) <= 11


# ---- a registry of the project's own -----------------------------------------------------------


def test_a_registry_takes_the_collector_and_asks_nobody_for_that(wait_until: WaitUntil) -> None:
    registry = CollectorRegistry(auto_describe=True)
    with CaptureQueriesContext(connection) as queries:
        collector = prometheus.register(registry)
    assert not queries.captured_queries
    queue().enqueue(succeed, 1)
    writing.write(alias="default")
    wait_until(lambda: registry.get_sample_value("drq_jobs_enqueued_total", JOB) == 1)
    with pytest.raises(ValueError, match="Duplicated"):
        prometheus.register(registry)
    registry.unregister(collector)
    assert registry.get_sample_value("drq_jobs_enqueued_total", JOB) is None
