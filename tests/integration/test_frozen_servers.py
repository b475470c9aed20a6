"""Several Redis that accept connections and never answer: a request waits for all as for one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model
from pytest_django import Settings
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError, Sentinel

from django_resilient_queue import Priority, crew, get_job, pause_all, pause_queue
from django_resilient_queue.breaker import CircuitState
from django_resilient_queue.dismissal import stop_worker
from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import FallbackJob, PausedQueue
from django_resilient_queue.recovery.drain import drain_now
from django_resilient_queue.stores import patience
from django_resilient_queue.stores.brokers import Broker, all_brokers, broker_of
from django_resilient_queue.stores.links import link_to
from django_resilient_queue.stores.polling import ask_each
from example_project.servers import RedisServer
from tests import rows
from tests.conftest import reset_process_state
from tests.enqueueing import queue, row_of, seconds
from tests.integration.letters.desk import client_of, letter_of
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

LONGEST = 0.5  # seconds that a request may wait for Redis
FROZEN, HEALTHY = ("critical", "high", "default"), "low"
JOB = {"type": "letter:count", "data": {"ledger": "l", "value": "v"}}
_numbers = count()


@pytest.fixture
def servers(redis_server: RedisServer, settings: Settings) -> Iterator[RedisServer]:
    """Three that are one process, which a test freezes; and one that goes on."""
    config = settings.RQ_QUEUES["default"]
    with RedisServer() as healthy:
        settings.RQ_QUEUES = {
            **{name: {**config, "DB": number} for number, name in enumerate(FROZEN)},
            HEALTHY: {**config, "PORT": healthy.port},
        }
        settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_TIMEOUT": 30}
        reset_process_state()
        yield redis_server
        redis_server.thaw()


def job_on(name: str) -> FallbackJob:
    return row_of(queue(name).enqueue(succeed, 1))


def page(model: type[Model] | str, *parts: object) -> str:
    name = model if isinstance(model, str) else model.__name__.lower()
    return "/".join(["/admin/django_resilient_queue", name, *map(str, parts), ""])


Act = Callable[[], Any]


def admin(*parts: object, **form: Any) -> Act:
    root = client_of()
    return lambda: root.post(page(*parts), form)  # type: ignore[arg-type]


def shown(*parts: object) -> Act:
    root = client_of()
    return lambda: root.get(page(*parts))  # type: ignore[arg-type]


def rest(method: str, path: str, body: Any = None) -> Act:
    sent = {} if body is None else {"data": body, "format": "json"}
    return lambda: getattr(client(), method)(ROOT + path, **sent)


def paused() -> None:
    for name in FROZEN:
        pause_queue(name)


def resumed(name: str) -> Act:
    paused()
    return admin(PausedQueue, PausedQueue.objects.get(queue_name=name).pk, "resume")


def stop() -> Act:
    worker = rows.make_worker(f"w-{next(_numbers)}")
    return admin("workerheartbeat", worker.pk, "stop", started_at=worker.started_at.isoformat())


def batch() -> Act:
    options = [{"priority": number} for number in Priority for _ in range(2)]
    return rest("post", "jobs/batch/", {"jobs": [{**JOB, "options": each} for each in options]})


def named_batch() -> Act:
    """Each of the ids is looked for first."""
    options = [{"job_id": f"named-{next(_numbers)}"} for _ in range(5)]
    return rest("post", "jobs/batch/", {"jobs": [{**JOB, "options": each} for each in options]})


def clean() -> Act:
    return rest("post", "clean/completed/", {"older_than": 1})


# Each makes what it needs while all is well, and returns the request.
REQUESTS: dict[str, Callable[[], Act]] = {
    "overview": lambda: shown("overview"),
    "stored jobs": lambda: shown(FallbackJob),
    "a stored job": lambda: shown(FallbackJob, job_on("critical").pk, "change"),
    "cancel": lambda: admin(FallbackJob, job_on("critical").pk, "cancel"),
    "cancel where Redis answers": lambda: admin(FallbackJob, job_on(HEALTHY).pk, "cancel"),
    "hasten": lambda: admin(FallbackJob, job_on("critical").pk, "hasten"),
    "drain": lambda: admin(FallbackJob, "drain"),
    "pause": lambda: admin("overview", "critical", "pause", reason="x"),
    "pause all": lambda: admin("overview", "*", "pause", reason="x"),
    "resume": lambda: resumed("critical"),
    "requeue": lambda: admin(
        "deadletter",
        letter_of(f"dead-{next(_numbers)}", queue_name="critical").pk,
        "requeue",
        reason="x",
        queue_name="high",
    ),
    "stop": stop,
    "REST jobs": lambda: rest("get", "jobs/"),
    "REST a job": lambda: rest("get", f"jobs/{job_on('critical').job_id}/"),
    "REST no job": lambda: rest("get", "jobs/no-such/"),
    "REST cancel": lambda: rest("delete", f"jobs/{job_on('critical').job_id}/"),
    "REST stop": lambda: rest("delete", f"jobs/{job_on('critical').job_id}/?running=true"),
    "REST batch": batch,
    "REST named batch": named_batch,
    "REST pause": lambda: rest("post", "pause/", {}),
    "REST resume": lambda: rest("post", "resume/", {}),
    "REST drain": lambda: rest("post", "fallback/drain/", {}),
    "REST clean": clean,
}


@pytest.mark.alone
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_waits_for_three_as_for_one(
    servers: RedisServer, name: str, is_known: bool
) -> None:
    """With connections that are there, and without."""
    make = REQUESTS[name]
    done = make()()
    assert done.status_code < 400 or name == "REST no job", done.content
    usual = min(seconds(make()) for _ in range(3))
    acts = [make() for _ in range(3)]
    took = []
    for act in acts:
        reset_process_state()
        if is_known:
            for broker in all_brokers():
                broker.probe()
        with servers.frozen():
            took.append(seconds(act))
    assert min(took) - usual < LONGEST


def test_what_the_redis_that_answers_has_is_cancelled(servers: RedisServer) -> None:
    row = job_on(HEALTHY)
    servers.freeze()
    assert "Cancelled." in client_of().post(page(FallbackJob, row.pk, "cancel"), follow=True).text
    info = get_job(row.job_id)
    assert info is not None
    assert info.state is JobState.CANCELLED


def test_a_redis_that_did_not_say_where_a_job_is_is_not_told_to_cancel_it(
    servers: RedisServer,
) -> None:
    """So it is sure that it does not do it, and soon known."""
    row = job_on("critical")
    servers.freeze()
    said = client_of().post(page(FallbackJob, row.pk, "cancel"), follow=True).text
    servers.thaw()
    assert "whether it was done is not known" not in said
    assert 'class="error"' in said
    info = get_job(row.job_id)
    assert info is not None
    assert info.state is JobState.WAITING


def test_the_redis_that_answers_is_told_of_a_pause(servers: RedisServer) -> None:
    servers.freeze()
    assert pause_all()
    assert queue(HEALTHY).connection.smembers("drq:paused") == {b""}


def test_what_is_stored_goes_to_the_redis_that_answers(servers: RedisServer) -> None:
    row = job_on(HEALTHY)
    queue(HEALTHY).connection.flushall()
    FallbackJob.objects.update(state="ready", redis_copy=False)
    servers.freeze()
    drained = drain_now()
    assert drained.count == 1
    assert drained.stopped_by is not None
    assert queue(HEALTHY).job_ids == [row.job_id]


def test_a_worker_of_rq_is_told_by_the_redis_that_answers(servers: RedisServer) -> None:
    with queue(HEALTHY).connection.pubsub() as ears:
        ears.subscribe("rq:pubsub:plain")
        assert ears.get_message(timeout=5)
        servers.freeze()
        assert stop_worker("plain")


# ---- what a request is patient with ------------------------------------------------------------


def known_brokers() -> list[Broker]:
    """Those that a test freezes, then the one that goes on, each with a connection."""
    known = [broker_of(queue(name).connection) for name in (*FROZEN, HEALTHY)]
    for each in known:
        each.probe()
    return known


def test_a_redis_that_kept_a_request_waiting_is_not_asked_by_it_again(servers: RedisServer) -> None:
    one, *_ = known_brokers()
    servers.freeze()
    with patience.bounded():
        with pytest.raises(StoreAmbiguous):
            one.probe()
        for _ in range(2):
            with pytest.raises(StoreRefused, match="Timeout"):
                one.probe()
        assert [one.is_in_use] == [False]
    assert [one.is_in_use] == [True]
    with pytest.raises(StoreAmbiguous):
        one.probe()


def test_two_are_waited_for_one_after_the_other_and_no_third(servers: RedisServer) -> None:
    one, two, three, _ = known_brokers()
    servers.freeze()
    with patience.bounded():
        for each in (one, two):
            with pytest.raises(StoreAmbiguous):
                each.probe()
        with pytest.raises(StoreRefused):
            three.probe()


def test_a_redis_that_is_not_waited_for_any_more_is_not_counted_as_away(
    servers: RedisServer, settings: Settings
) -> None:
    """Who asks next whether it is back is not to wait for that."""
    *_, healthy = known_brokers()
    bounds = {"RECOVERY_TIMEOUT": 1, "ENQUEUE_TIMEOUT": 0.6}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **bounds}

    def enqueue_in_a_transaction() -> CircuitState:
        with transaction.atomic():
            queue(HEALTHY).enqueue(succeed)
        return healthy.breaker.state

    healthy.breaker.trip()
    with patience.bounded():
        for name in ("another", "a third"):
            since = time.monotonic()
            time.sleep(0.6)
            patience.lose_with(name, StoreAmbiguous(TimeoutError()), since)
        assert enqueue_in_a_transaction() is CircuitState.OPEN
    assert enqueue_in_a_transaction() is CircuitState.CLOSED


def test_those_that_are_asked_at_the_same_time_are_waited_for_as_one(servers: RedisServer) -> None:
    known = known_brokers()
    servers.freeze()
    with patience.bounded():
        answers = [answer for _, answer in ask_each(known, lambda each: each.link.call("PING"))]
        assert [type(each) for each in answers] == [*[StoreAmbiguous] * 3, bytes]
        known[-1].probe()


def test_what_broke_at_once_is_tried_again(servers: RedisServer) -> None:
    """The next connection may find a server that was started again."""
    one, *_ = known_brokers()
    with patience.bounded():
        servers.kill()
        with pytest.raises(StoreRefused):
            one.probe()
        servers.start()
        one.probe()


def test_sentinels_that_kept_a_request_waiting_are_not_asked_by_it_again(
    settings: Settings,
) -> None:
    """To redis-py that no master was found is no timeout."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "ENQUEUE_TIMEOUT": 0.2}
    with socket.create_server(("127.0.0.1", 0)) as deaf, patience.bounded():
        connection = Sentinel([deaf.getsockname()]).master_for("mymaster")
        link = link_to(connection, timeout=0.2)
        with pytest.raises(StoreRefused, match="No master"):
            link.call("PING")
        assert patience.lost_with(link) is not None


def test_one_that_kept_a_request_waiting_for_long_keeps_it_from_no_other(
    servers: RedisServer, settings: Settings
) -> None:
    """Nor when a thread is told so that the request does not wait for any more."""
    *_, healthy = known_brokers()
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "ENQUEUE_TIMEOUT": 0.2}
    with patience.bounded():
        long_ago = time.monotonic() - 60
        for _ in range(2):
            patience.lose_with("one", StoreRefused(MasterNotFoundError()), long_ago)
            healthy.probe()
            time.sleep(0.2)
        healthy.probe()


def test_who_finds_no_thread_is_answered_all_the_same(
    servers: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "redis_crew", crew.Crew(lambda: 0))
    known = known_brokers()
    with patience.bounded():
        answers = [answer for _, answer in ask_each(known, lambda each: each.probe())]
        assert [type(each) for each in answers] == [StoreAmbiguous] * 4
        with pytest.raises(StoreRefused, match="no answer in time"):
            known[0].probe()


def test_a_mistake_is_no_answer(servers: RedisServer) -> None:
    """It is raised, as it would be of one alone."""
    known = known_brokers()
    for some in (known[:1], known):
        with pytest.raises(ResponseError):
            list(ask_each(some, lambda each: each.link.call("NOSUCH")))
