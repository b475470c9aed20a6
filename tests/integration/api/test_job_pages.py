"""Lists of jobs of queues without an outbox: no row, but rq's own lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from pytest_django import Settings
from rest_framework.request import Request
from rq.job import JobStatus
from rq.rate_limit import RateLimit

from django_resilient_queue.api.scoping import Scope
from django_resilient_queue.job_info import JobInfo
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.recovery.drain import drain_now
from django_resilient_queue.stores.brokers import broker_of
from example_project.servers import RedisServer
from tests.conftest import load_scripts, reset_process_state
from tests.enqueueing import HOUR, queue
from tests.jobs import succeed
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _without_outbox(settings: Settings, redis_server: RedisServer) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "OUTBOX": {"high": False, "low": False}}


def get(query: str = "") -> Any:
    answer = client().get(f"{ROOT}jobs/{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def ids(body: Any) -> list[str]:
    return [line["id"] for line in body["results"]]


def pages(query: str, direction: str = "next") -> Iterator[Any]:
    body = get(query)
    yield body
    while address := body[direction]:
        body = client().get(address).json()
        yield body


def enqueue(*names: str, to: str = "high", **options: Any) -> None:
    for name in names:
        queue(to).enqueue(succeed, 1, job_id=name, **options)


def test_what_waits_in_redis_is_listed_with_its_state() -> None:
    enqueue("first", "second")
    queue("high").enqueue_in(HOUR, succeed, 1, job_id="later")
    queue("high").fetch_job("first").set_status(JobStatus.STARTED)  # type: ignore[union-attr]
    assert not FallbackJob.objects.exists()
    body = get("?queue=high")
    found = {line["id"]: line for line in body["results"]}
    assert ids(body) == ["second", "first", "later"]
    assert [found[each]["status"] for each in ids(body)] == ["waiting", "active", "delayed"]
    assert found["later"]["due_at"] > found["later"]["created_at"]
    assert {line["queue"] for line in found.values()} == {"high"}
    assert ids(get("?queue=high&status=delayed")) == ["later"]
    assert ids(get("?queue=low")) == []


def test_pages_go_from_the_rows_on_through_redis_and_back() -> None:
    enqueue("a", "b", "c", to="default")
    enqueue("d", "e", "f")
    enqueue("g", "h", to="low")
    found = [ids(page) for page in pages("?limit=2")]
    assert found == [["c", "b"], ["a", "f"], ["e", "d"], ["h", "g"]]
    last = list(pages("?limit=2"))[-1]
    back = [ids(client().get(last["previous"]).json())]
    body = client().get(last["previous"]).json()
    while address := body["previous"]:
        body = client().get(address).json()
        back.append(ids(body))
    assert {each for page in back for each in page} == set("abcdef")


def test_a_page_before_the_first_of_redis_is_the_last_of_the_rows() -> None:
    enqueue("a", "b", to="default")
    enqueue("c", "d", "e")
    first = get("?limit=2")
    second = client().get(first["next"]).json()
    assert (ids(first), ids(second)) == (["b", "a"], ["e", "d"])
    before = client().get(second["previous"]).json()
    assert ids(before) == ["b", "a"]
    assert ids(client().get(before["next"]).json()) == ["e", "d"]


def test_a_job_that_has_a_row_and_a_place_in_redis_is_listed_once(
    redis_server: RedisServer,
) -> None:
    redis_server.kill()
    enqueue("stored")
    redis_server.start()
    load_scripts(redis_server)
    reset_process_state()
    assert drain_now().count == 1
    enqueue("plain")
    assert sorted(ids(get())) == ["plain", "stored"]


def test_with_redis_away_the_rows_are_shown_and_the_next_page_says_so(
    redis_server: RedisServer,
) -> None:
    enqueue("a", to="default")
    enqueue("b")
    redis_server.kill()
    body = get()
    assert ids(body) == ["a"]
    answer = client().get(body["next"])
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_a_place_in_redis_is_none_where_every_job_has_a_row(settings: Settings) -> None:
    enqueue("a", "b", "c")
    following = get("?limit=2")["next"]
    assert ids(client().get(following).json()) == ["a"]
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "OUTBOX": True}
    assert client().get(following).status_code == 404


def test_what_waits_for_a_rate_limit_is_listed_with_the_delayed() -> None:
    limits = [RateLimit("mails", 1), RateLimit("calls", 1)]
    enqueue("first", "second", "third", rate_limit=limits[0])
    enqueue("fourth", "fifth", rate_limit=limits[1])
    enqueue("other", to="low", rate_limit=limits[0])
    enqueue("stored", to="default", rate_limit=limits[0])  # has a row
    assert sorted(ids(get("?queue=high"))) == ["fifth", "first", "fourth", "second", "third"]
    found = {line["id"]: line["status"] for line in get("?queue=high")["results"]}
    assert [name for name in found if found[name] == "waiting"] == ["fourth", "first"]
    assert sorted(ids(get("?queue=high&status=delayed"))) == ["fifth", "second", "third"]
    assert ids(get("?queue=low&status=delayed")) == ["other"]
    assert ids(get("?queue=high&status=waiting")) == ["fourth", "first"]
    every = [each for page in pages("?limit=2") for each in ids(page)]
    assert sorted(every) == sorted([*found, "other", "stored"])


def test_however_many_rate_limits_there_are_a_bounded_part_is_looked_at(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_resilient_queue.rq_lists.MOST_LIMITS", 3)
    for n in range(10):
        enqueue(f"a{n}", f"b{n}", rate_limit=RateLimit(f"tenant-{n}", 1))
    assert len(ids(get("?queue=high&status=delayed"))) == 3


def test_one_page_asks_redis_four_times_however_much_it_holds() -> None:
    enqueue(*(f"job-{n}" for n in range(60)), "limited", rate_limit=RateLimit("mails", 50))
    link = broker_of(queue("high").connection).link
    with mock.patch.object(link, "call_all", wraps=link.call_all) as asking:
        assert len(ids(get("?queue=high&limit=50"))) == 50
    assert asking.call_count == 4


def test_one_page_looks_at_its_own_jobs_alone_however_many_there_are(
    redis_server: RedisServer,
) -> None:
    enqueue(*(f"job-{n}" for n in range(60)))
    get("?queue=high&limit=50")
    with redis_server.client() as server:
        before = server.info("commandstats")
        assert len(ids(get("?queue=high&limit=50"))) == 50
        after = server.info("commandstats")
    asked = {
        name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in ("cmdstat_llen", "cmdstat_zcard", "cmdstat_lrange", "cmdstat_hmget")
        if name in after
    }
    assert asked == {
        "cmdstat_llen": 1,
        "cmdstat_zcard": 3,
        "cmdstat_lrange": 1,
        "cmdstat_hmget": 50,
    }


class OfMyTeam(Scope):
    def sees(self, request: Request, job: JobInfo) -> bool:
        return bool(job.meta.get("team") == "mine")


def test_the_scope_decides_by_what_a_job_says_of_itself(settings: Settings) -> None:
    enqueue("mine", meta={"team": "mine"})
    enqueue("theirs", meta={"team": "theirs"})
    settings.RESILIENT_QUEUE = {
        **settings.RESILIENT_QUEUE,
        "API_SCOPE": f"{__name__}.OfMyTeam",
    }
    assert ids(get("?queue=high")) == ["mine"]
