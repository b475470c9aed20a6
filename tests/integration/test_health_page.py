"""`GET health/`: who sees what, by which status, and the probes of django-health-check."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.utils import timezone
from health_check.exceptions import HealthCheckException
from pytest_django import Settings

from django_resilient_queue.contrib.health_check import (
    AcceptsJobs,
    BrokerPing,
    CircuitClosed,
    DeadLetters,
    FallbackBacklog,
    QueueLatency,
    Reconciler,
    WorkersAlive,
)
from django_resilient_queue.models import BrokerState, DeadLetter, Outage, WorkerHeartbeat
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer, ServerProcess
from tests.enqueueing import least_seconds, queue
from tests.health import address, live_worker, waiting_row
from tests.jobs import succeed
from tests.stores import snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
PAGE = "/queue/health/"


def get(client: Client, path: str = PAGE) -> tuple[int, dict[str, Any]]:
    answer = client.get(path)
    return answer.status_code, answer.json()


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# ---- the page ----------------------------------------------------------------------------------


def test_anybody_hears_status_and_reasons_and_no_more(client: Client) -> None:
    live_worker()
    assert get(client) == (200, {"status": "healthy", "reasons": []})
    WorkerHeartbeat.objects.all().delete()
    status, body = get(client)
    assert (status, body["status"]) == (503, "critical")
    assert body["reasons"] == [
        {
            "code": "no_worker",
            "status": "critical",
            "message": "No worker is alive: jobs are accepted and not executed.",
        }
    ]


def test_the_whole_report_takes_the_permission(client: Client) -> None:
    live_worker()
    assert set(get(signed_in())[1]) == {"status", "reasons"}
    User.objects.all().delete()
    body = get(signed_in("view_health"))[1]
    assert body["redis"]["address"] == address()
    assert body["database"]["status"] == "up"


def test_no_cache_keeps_it_and_nothing_but_reading_is_allowed(client: Client) -> None:
    assert client.get(PAGE)["Cache-Control"] == "no-store"
    assert client.head(PAGE).status_code == 503
    assert client.post(PAGE).status_code == 405


def test_the_project_chooses_the_status_codes(client: Client, settings: Settings) -> None:
    live_worker(queues="critical")
    assert get(client)[0] == 206
    settings.RESILIENT_QUEUE = {"HEALTH_STATUS_CODES": {"degraded": 200}}
    assert get(client)[0] == 200
    WorkerHeartbeat.objects.all().delete()
    assert get(client)[0] == 503


@pytest.mark.alone
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_with_both_stores_away_it_answers_in_time_and_to_nobody_all(
    database_server: ServerProcess,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    client = signed_in("view_health")
    connections.close_all()  # as at the begin of a request
    getattr(database_server, how)()
    getattr(redis_server, how)()
    found: list[tuple[int, dict[str, Any]]] = []
    assert least_seconds(lambda: found.append(get(client))) < 1
    for status, body in found:
        assert (status, body["status"]) == (503, "down")
        assert set(body) == {"status", "reasons"}


def test_what_anybody_hears_names_no_server(redis_server: RedisServer, client: Client) -> None:
    live_worker()
    redis_server.kill()
    status, body = get(client)
    assert (status, body["status"]) == (206, "degraded")
    assert str(redis_server.port) not in str(body)


# ---- django-health-check -----------------------------------------------------------------------


def test_liveness_asks_nobody_and_readiness_for_one_store(
    client: Client, redis_server: RedisServer
) -> None:
    redis_server.kill()
    assert client.get("/live/?format=json").status_code == 200
    assert get(client, "/ready/?format=json") == (200, {"AcceptsJobs()": "OK"})


def test_without_any_store_the_process_is_not_ready_and_still_alive(
    client: Client, redis_server: RedisServer, database_server: ServerProcess
) -> None:
    redis_server.kill()
    database_server.freeze()
    status, body = get(client, "/ready/?format=json")
    assert (status, body) == (500, {"AcceptsJobs()": "Unavailable: neither store takes jobs"})
    assert client.get("/live/?format=json").status_code == 200


def test_all_checks_are_content_when_all_is_well(client: Client) -> None:
    live_worker("w")
    BrokerState.objects.create(name=address(), reconciler="w")
    status, body = get(client, "/deep/?format=json")
    assert (status, set(body.values())) == (200, {"OK"})
    assert len(body) == 8
    metrics = client.get("/deep/?format=openmetrics").content.decode()
    assert 'django_health_check_status{check="BrokerPing",queue="default"} 1' in metrics


def verdict(check: Any) -> str:
    """What a check says of now."""
    try:
        check.run()
    except HealthCheckException as error:
        return str(error)
    return "OK"


def test_broker_ping(redis_server: RedisServer) -> None:
    assert verdict(BrokerPing("low")) == "OK"
    assert verdict(BrokerPing("lwo")) == "Unavailable: no queue 'lwo' in RQ_QUEUES"
    redis_server.kill()
    assert verdict(BrokerPing("low")) == "Unavailable: Redis does not take jobs"
    assert verdict(AcceptsJobs()) == "OK"


def test_workers_alive() -> None:
    live_worker(queues="critical,high")
    words = "Unavailable: fewer than 1 live workers serve default, low"
    assert verdict(WorkersAlive()) == words
    assert verdict(WorkersAlive(queues=["high"])) == "OK"
    assert "fewer than 2" in verdict(WorkersAlive(queues=["high"], min_workers=2))


def test_queue_latency_and_fallback_backlog() -> None:
    queue().enqueue(succeed)
    assert verdict(QueueLatency()) == "OK"
    waiting_row("a", due_at=timezone.now() - timedelta(seconds=90))
    minute = timedelta(minutes=1)
    assert verdict(QueueLatency(max_age=minute)).startswith("Warning: a job has waited for")
    assert verdict(QueueLatency("low", max_age=minute)) == "OK"
    assert verdict(FallbackBacklog()) == "OK"
    assert verdict(FallbackBacklog(max_size=0)) == "Warning: 1 jobs wait in the database"
    assert "has waited in the database for" in verdict(FallbackBacklog(max_age=minute))


def test_dead_letters() -> None:
    assert verdict(DeadLetters(max_size=0)) == "OK"
    old = timezone.now() - timedelta(days=3)
    letter = DeadLetter.of(snapshot("x"), Failure(Reason.RAISED), attempts=1, died_at=old)
    DeadLetter.objects.record([letter])
    assert verdict(DeadLetters(max_size=0)) == "Warning: 1 dead letters"
    assert verdict(DeadLetters()) == "Warning: a dead letter is 3.0 days old"
    assert verdict(DeadLetters(max_age=timedelta(days=4))) == "OK"


def test_circuit_closed() -> None:
    assert verdict(CircuitClosed()) == "OK"
    Outage.objects.begin(address(), cause="refused", reported_by="w")
    assert verdict(CircuitClosed()) == "Warning: jobs go by the database"


def test_reconciler() -> None:
    live_worker("w")
    assert verdict(Reconciler()) == "Unavailable: no live worker reconciles"
    BrokerState.objects.create(name=address(), reconciler="w")
    assert verdict(Reconciler()) == "OK"
    old = timezone.now() - timedelta(seconds=400)
    waiting_row("a", state=State.DISPATCHED, check_at=old)
    assert "to be looked at" in verdict(Reconciler())
    BrokerState.objects.update(reconciler="gone")
    assert verdict(Reconciler()) == "Unavailable: no live worker reconciles"


def test_with_the_database_away_what_only_it_knows_is_a_warning(
    database_server: ServerProcess,
) -> None:
    database_server.kill()
    for check in (DeadLetters(), FallbackBacklog(), Reconciler()):
        assert verdict(check) == "Warning: the database did not say"
