"""What a scrape says of two stores, to whom, in what time, and that it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from django_resilient_queue import metrics, pause_queue
from django_resilient_queue.contrib import prometheus
from django_resilient_queue.exceptions import MissingExtra
from django_resilient_queue.facts import Sightings
from django_resilient_queue.meter import OTHER, Key, Kind
from django_resilient_queue.metrics import FAMILIES, answers, exposition, new_collector
from django_resilient_queue.metrics.families import COUNTER
from django_resilient_queue.models import DeadLetter, Outage, RecoveryRun
from django_resilient_queue.models.dead_letter import Change
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.stores import measures as writing
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.conftest import WaitUntil, poll
from tests.enqueueing import AWAY, least_seconds, queue, take_away
from tests.health import address, live_worker, waiting_row
from tests.jobs import succeed
from tests.stores import snapshot
from tests.workers import worker_environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
PAGE = "/queue/metrics/"
JOB = {"queue": "default", "job_type": "tests.jobs.succeed", "backend": "redis"}


@pytest.fixture(autouse=True)
def _no_spare_connection() -> Iterator[None]:
    yield
    answers._spare.close()


class Scrape:
    """The samples of a text, or of a scrape that both stores have answered."""

    def __init__(self, text: str | None = None) -> None:
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        if text is not None:
            self.read(text)
        else:  # a machine that is busy may take longer than the bound
            poll(lambda: self.read(page()) and 0 not in self.of("drq_up", "store").values())

    @classmethod
    def once(cls) -> Scrape:
        """The first that comes, whoever has answered."""
        return cls(page())

    def read(self, text: str) -> bool:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        return True

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def of(self, name: str, label: str) -> Mapping[str, float]:
        """The samples of a metric by one of its labels."""
        return {
            dict(labels)[label]: value
            for (each, labels), value in self.samples.items()
            if each == name
        }


def page() -> str:
    return exposition(new_collector().ask())[0].decode()


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


# ---- stores away -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", AWAY)
def test_without_redis_its_part_is_absent_and_the_rest_is_there(
    redis_server: RedisServer, how: str
) -> None:
    live_worker()
    take_away(redis_server, how)
    scrape = Scrape.once()
    assert scrape("drq_up", store="redis", server=address()) == 0
    assert scrape("drq_up", store="database", server="") == 1
    assert scrape("drq_scrape_seconds", store="redis", server=address()) is None
    assert set(scrape.of("drq_queue_jobs", "backend")) == {"database"}
    assert scrape("drq_queue_workers", queue="low") == 1


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_without_the_database_its_part_is_absent_and_the_rest_is_there(
    database_server: ServerProcess, how: str
) -> None:
    queue().enqueue(succeed, 1)
    getattr(database_server, how)()
    scrape = Scrape.once()
    assert scrape("drq_up", store="database", server="") == 0
    assert scrape("drq_up", store="redis", server=address()) == 1
    assert set(scrape.of("drq_queue_jobs", "backend")) == {"redis"}
    assert "drq_jobs_drained_total" not in scrape.names()
    assert "drq_outage_open" not in scrape.names()


@pytest.mark.alone
def test_two_frozen_stores_cost_less_than_a_second(
    database_server: ServerProcess, redis_server: RedisServer
) -> None:
    database_server.freeze()
    redis_server.freeze()
    assert least_seconds(Scrape.once) < 1
    assert Scrape.once().names() == {"drq_up", "drq_circuit_state"}


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole", "unreachable", "hold"])
def test_a_failing_network_costs_less_than_a_second(behind_proxy: FaultyProxy, fault: str) -> None:
    getattr(behind_proxy, fault)()
    assert least_seconds(Scrape.once) < 1


def test_the_database_is_seen_again_when_it_is_back(
    database_server: ServerProcess, settings: Settings, wait_until: WaitUntil
) -> None:
    connection.settings_dict["CONN_MAX_AGE"] = 60
    try:
        Scrape()
        assert len(answers._spare._idle) == 1
        database_server.kill()
        assert Scrape.once()("drq_up", store="database", server="") == 0
        database_server.start()
        wait_until(lambda: Scrape.once()("drq_up", store="database", server="") == 1)
        # Its connection is one from before, which the next scrape must not fall for.
        database_server.kill()
        database_server.start()
        assert Scrape.once()("drq_up", store="database", server="") == 1
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = 0
        answers._spare.close()


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


# ---- the page ----------------------------------------------------------------------------------


def bearer(client: Client, token: str, scheme: str = "Bearer") -> int:
    return client.get(PAGE, headers={"Authorization": f"{scheme} {token}"}).status_code


def test_a_token_or_the_permission_is_wanted(client: Client, settings: Settings) -> None:
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "") == 403  # no token is no password
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim-ß"}
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "wrong") == 403
    assert bearer(client, "") == 403
    assert bearer(client, "geheim-ß", "Basic") == 403
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    assert bearer(client, "geheim") == 200
    assert bearer(client, "geheim", "bearer") == 200


def test_of_who_may_not_see_it_no_store_is_asked(client: Client, redis_server: RedisServer) -> None:
    with redis_server.client() as redis, CaptureQueriesContext(connection) as queries:
        before = redis.info("stats")["total_commands_processed"]
        assert client.get(PAGE).status_code == 403
        assert redis.info("stats")["total_commands_processed"] - before == 1  # this question
    assert not queries.captured_queries


def test_a_user_with_the_permission_sees_it(client: Client, wait_until: WaitUntil) -> None:
    user = User.objects.create_user("ann")
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_metrics"))

    def shown() -> Any:
        answer = client.get(PAGE)
        return answer if answer.status_code == 200 else None

    # On a busy machine the database may answer too late to say who asks.
    answer = wait_until(shown)
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert answer["Cache-Control"] == "no-store"
    assert Scrape(answer.content.decode())("drq_up", store="database", server="") == 1
    assert client.post(PAGE).status_code == 405


@pytest.mark.alone
def test_with_the_database_frozen_the_token_still_opens_and_nobody_waits(
    client: Client, settings: Settings, database_server: ServerProcess
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    client.force_login(User.objects.create_superuser("root"))
    database_server.freeze()
    assert least_seconds(lambda: client.get(PAGE)) < 1
    assert client.get(PAGE).status_code == 403
    assert bearer(client, "geheim") == 200


def test_who_asks_for_openmetrics_gets_it(client: Client, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    headers = {"Authorization": "Bearer geheim", "Accept": "application/openmetrics-text"}
    answer = client.get(PAGE, headers=headers)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_without_the_extra_the_line_that_installs_it_is_named(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RESILIENT_QUEUE = {"METRICS_TOKEN": "geheim"}
    metrics.page_collector.cache_clear()
    monkeypatch.setattr("django_resilient_queue.metrics.page.find_spec", lambda name: None)
    answer = client.get(PAGE, headers={"Authorization": "Bearer geheim"})
    assert answer.status_code == 501
    assert b'pip install "django-resilient-queue[metrics]"' in answer.content
    with pytest.raises(MissingExtra):
        prometheus.register()


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
