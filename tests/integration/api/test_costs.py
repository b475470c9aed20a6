"""What each request costs the stores: questions to the database, and round trips to Redis.

Whoever makes a request dearer has to say so here. Anonymous ones, and those of users who lack the
permission, cost nothing but what tells who they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, cast

import pytest
from django.contrib.auth.models import User
from django.db.backends.utils import CursorWrapper
from django.test import Client
from pytest_django import Settings
from redis.connection import AbstractConnection
from rest_framework.test import APIClient

from django_resilient_queue.metrics import page_collector
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import Selection
from example_project.servers import RedisServer
from tests import rows
from tests.clients import client_of
from tests.conftest import load_scripts
from tests.enqueueing import queue
from tests.integration.api.routes import ROUTES
from tests.integration.api.test_letters import dead
from tests.integration.api.test_worlds import CASES, known, path_of, sent
from tests.jobs import succeed
from tests.rest import ROOT, client

__all__ = ["known"]  # a fixture
pytestmark = pytest.mark.django_db(transaction=True)
HEALTH, METRICS = "/queue/health/", "/queue/metrics/"
_QUESTION = re.compile(r"INSERT|UPDATE|DELETE|SELECT\b.*\bFROM\b", re.DOTALL)


class Cost(NamedTuple):
    """Statements about tables, and requests on connections to Redis."""

    database: int
    redis: int


class Till:
    """Counts what all threads of this process ask."""

    def __init__(self) -> None:
        self._lock, self.database, self.redis = Lock(), 0, 0

    def cost(self, call: Callable[[], Any]) -> tuple[Cost, Any]:
        before = self.database, self.redis
        answer = call()
        return Cost(self.database - before[0], self.redis - before[1]), answer

    def ask_database(self, sql: str) -> None:
        if _QUESTION.match(sql):
            with self._lock:
                self.database += 1

    def ask_redis(self) -> None:
        with self._lock:
            self.redis += 1


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Till:
    # What a process counts is written now and then, whoever asks.
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "METRICS_INTERVAL": 0}
    found, execute = Till(), cast(Any, CursorWrapper)._execute
    send: Any = AbstractConnection.send_packed_command

    def counted(self: Any, sql: str, *args: Any) -> Any:
        found.ask_database(str(sql))
        return execute(self, sql, *args)

    def counted_sending(self: Any, *args: Any, **options: Any) -> None:
        found.ask_redis()
        send(self, *args, **options)

    monkeypatch.setattr(CursorWrapper, "_execute", counted)
    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted_sending)
    return found


@pytest.fixture
def _warm(redis_server: RedisServer) -> None:
    """Connections of this process are there, and know the server."""
    load_scripts(redis_server)
    client().get(f"{ROOT}stats/")
    client().get(f"{ROOT}jobs/")


NOTHING = Cost(0, 0)
WHO = Cost(4, 0)  # session, user, and both kinds of permissions
REPORT = Cost(14, 2)
SCRAPE = Cost(11, 1)
COSTS: dict[tuple[str, str], Cost] = {
    ("GET", "jobs/"): Cost(1, 1),
    ("POST", "jobs/"): Cost(1, 1),
    ("POST", "jobs/batch/"): Cost(2, 2),
    ("GET", "jobs/<str:job_id>/"): Cost(2, 2),
    ("DELETE", "jobs/<str:job_id>/"): Cost(7, 3),
    ("GET", "stats/"): Cost(15, 2),
    ("POST", "pause/"): Cost(3, 1),
    ("POST", "resume/"): Cost(2, 1),
    ("POST", "clean/completed/"): Cost(0, 4),
    ("POST", "clean/failed/"): Cost(0, 4),
    ("GET", "health/"): REPORT,
    ("GET", "dlq/"): Cost(1, 0),
    ("GET", "dlq/stats/"): Cost(6, 0),
    ("GET", "dlq/groups/"): Cost(2, 0),
    ("GET", "dlq/<drq_key:pk>/"): Cost(3, 0),
    ("POST", "dlq/<drq_key:pk>/requeue/"): Cost(9, 0),
    ("POST", "dlq/<drq_key:pk>/payload/"): Cost(11, 0),
    ("POST", "dlq/<drq_key:pk>/discard/"): Cost(5, 0),
    ("GET", "recovery-runs/"): Cost(1, 0),
    ("POST", "recovery-runs/"): Cost(4, 0),
    ("GET", "recovery-runs/<drq_key:pk>/"): Cost(1, 0),
    ("POST", "recovery-runs/<drq_key:pk>/pause/"): Cost(3, 0),
    ("POST", "recovery-runs/<drq_key:pk>/resume/"): Cost(4, 0),
    ("POST", "recovery-runs/<drq_key:pk>/cancel/"): Cost(3, 0),
    ("GET", "fallback/"): Cost(1, 0),
    ("POST", "fallback/drain/"): Cost(11, 3),
    ("GET", "fallback/<str:job_id>/"): Cost(1, 0),
    ("GET", "outages/"): Cost(1, 0),
    ("GET", "outages/<drq_key:pk>/"): Cost(1, 0),
    ("GET", "workers/"): Cost(1, 0),
    ("GET", "workers/<str:name>/"): Cost(1, 0),
    ("POST", "workers/<str:name>/stop/"): Cost(3, 0),
}


def ask_each(
    till: Till, who: Client, known: dict[str, str], *, method: str = ""
) -> dict[tuple[str, str], tuple[Cost, int]]:
    """Make each call; what it cost, and the status."""
    found = {}
    for route in ROUTES:
        if method in ("", route.method):
            case = CASES[route.method, route.pattern]
            path, words = path_of(route, case, known), sent(case)
            cost, answer = till.cost(partial(who.generic, route.method, path, **words))
            found[route.method, route.pattern] = cost, answer.status_code
    return found


def costs(found: dict[tuple[str, str], tuple[Cost, int]]) -> dict[tuple[str, str], Cost]:
    return {route: cost for route, (cost, _) in found.items()}


# ---- the API -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("_warm")
def test_each_call_costs_what_it_is_known_to(till: Till, known: dict[str, str]) -> None:
    found = ask_each(till, client(), known)
    assert {status for _, status in found.values()} == {200, 201, 202, 503}
    assert costs(found) == COSTS


@pytest.mark.usefixtures("_warm")
def test_reading_costs_the_same_however_much_there_is(till: Till, known: dict[str, str]) -> None:
    for n in range(30):
        queue("low").enqueue(succeed, 1, job_id=f"more-{n}")
        dead(f"more-{n}", a=1, b=1)
        rows.make_worker(f"worker-{n}")
        rows.make_outage(f"more-{n}")
        start_run(Selection(handler=f"no:such-{n}"), by="ann")
    found = ask_each(till, client(), known, method="GET")
    assert costs(found) == {route: COSTS[route] for route in found}


@pytest.mark.usefixtures("_warm")
def test_an_anonymous_call_costs_nothing(till: Till, known: dict[str, str]) -> None:
    found = ask_each(till, APIClient(), known)
    assert found.pop(("GET", "health/"))[0] == REPORT  # which is for anybody
    assert set(found.values()) == {(NOTHING, 403)}


@pytest.mark.usefixtures("_warm")
def test_without_the_permission_a_call_costs_nothing(till: Till, known: dict[str, str]) -> None:
    found = ask_each(till, client("no_permission"), known)
    assert found.pop(("GET", "health/"))[0] == REPORT
    assert set(found.values()) == {(NOTHING, 403)}


@pytest.mark.usefixtures("_warm")
def test_a_session_costs_what_tells_whose_it_is(till: Till, known: dict[str, str]) -> None:
    who = APIClient()
    who.force_login(User.objects.create_user("ann"))
    found = ask_each(till, who, known)
    assert found.pop(("GET", "health/"))[0] == Cost(REPORT.database + WHO.database, REPORT.redis)
    assert set(found.values()) == {(WHO, 403)}


# ---- the pages for machines --------------------------------------------------------------------


def both(one: Cost, other: Cost) -> Cost:
    return Cost(one.database + other.database, one.redis + other.redis)


@pytest.mark.usefixtures("_warm")
def test_health_costs_one_report_whoever_asks(till: Till) -> None:
    assert till.cost(lambda: Client().get(HEALTH))[0] == REPORT
    assert till.cost(lambda: Client().head(HEALTH))[0] == REPORT
    assert till.cost(lambda: Client().post(HEALTH))[0] == NOTHING
    who = client_of("view_health")
    assert till.cost(lambda: who.get(HEALTH))[0] == both(REPORT, WHO)


@pytest.mark.usefixtures("_warm")
def test_metrics_cost_a_scrape_who_may_see_them_and_nobody_else(
    till: Till, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "METRICS_TOKEN": "geheim"}
    page_collector()  # imports
    wrong, right = ({"Authorization": f"Bearer {word}"} for word in ("falsch", "geheim"))
    assert till.cost(lambda: Client().get(METRICS))[0] == NOTHING
    assert till.cost(lambda: Client().get(METRICS, headers=wrong))[0] == NOTHING
    assert till.cost(lambda: Client().get(METRICS, headers=right))[0] == SCRAPE
    who = client_of()
    assert till.cost(lambda: who.get(METRICS))[0] == WHO
    who = client_of("view_metrics")
    assert till.cost(lambda: who.get(METRICS))[0] == both(SCRAPE, WHO)
