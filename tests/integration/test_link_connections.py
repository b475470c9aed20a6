"""The connections of a link: shared by threads, replaced when they broke, never left half read."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from django_resilient_queue.exceptions import StoreAmbiguous
from django_resilient_queue.stores import links
from django_resilient_queue.stores.links import Reconnected, RedisLink, link_to
from example_project.servers import FaultyProxy, RedisServer
from tests.patience import LIMIT, bound

pytestmark = pytest.mark.one_database


def link_at(port: int) -> RedisLink:
    return link_to(redis.Redis(port=port), timeout=LIMIT)


def write(link: RedisLink) -> object:
    return link.call("SET", "key", "value")


def test_a_late_reply_is_not_taken_for_the_next_answer(proxy: FaultyProxy) -> None:
    link = link_at(proxy.port)
    link.call("SET", "key", "first")
    proxy.delay(0.4)
    bound(link.pool, 0.2)
    with pytest.raises(StoreAmbiguous):
        link.call("GET", "key")
    proxy.pass_through()
    bound(link.pool, LIMIT)
    assert link.call("ECHO", "second") == b"second"


def test_a_wary_link_says_once_that_its_connection_is_another(redis_server: RedisServer) -> None:
    link = link_at(redis_server.port)
    write(link)
    link.wary = True
    assert write(link) == b"OK"
    redis_server.kill()
    redis_server.start()
    with pytest.raises(Reconnected):
        write(link)
    with redis_server.client() as client:
        assert client.exists("key") == 0
    assert write(link) == b"OK"


def test_threads_share_a_link_and_each_gets_its_own_answers(redis_server: RedisServer) -> None:
    link = link_at(redis_server.port)
    wrong: list[object] = []

    def ask(name: str) -> None:
        wrong.extend(
            n for n in range(200) if link.call("ECHO", f"{name}{n}") != f"{name}{n}".encode()
        )

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("value", ["text", "ü☃", b"\xff\r\n$1", "", 7, 1.5, "x" * 100_000])
def test_values_arrive_as_redis_py_would_send_them(redis_server: RedisServer, value: Any) -> None:
    link_at(redis_server.port).call("SET", "ours", value)
    with redis_server.client() as client:
        client.set("theirs", value)
        assert client.get("ours") == client.get("theirs")


def test_an_interruption_between_two_replies_leaves_none_for_the_next_call(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_at(proxy.port)
    proxy.delay(0.05)  # the replies come when the next call has been sent
    with monkeypatch.context() as patched:
        patched.setattr(links, "_read", interrupt)
        with pytest.raises(KeyboardInterrupt):
            link.call_all([("ECHO", "first"), ("ECHO", "second")])
    assert link.call("ECHO", "third") == b"third"


def interrupt(connection: Any) -> None:
    """As a signal does whose handler raises: a timeout of a job, or Ctrl-C."""
    raise KeyboardInterrupt
