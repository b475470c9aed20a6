"""The Redis of the tests dies, freezes and comes back as a real one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from example_project.servers import RedisServer, SentinelServer
from tests.conftest import WaitUntil


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def test_a_killed_redis_refuses_and_comes_back_empty_on_its_port(server: RedisServer) -> None:
    client, port = server.client(), server.port
    client.set("key", "value")

    server.kill()
    with pytest.raises(RedisConnectionError, match="refused"):
        client.get("key")
    server.start()

    assert server.port == port
    assert client.get("key") is None


def test_a_frozen_redis_accepts_and_never_answers(server: RedisServer) -> None:
    server.freeze()
    client = server.client(socket_timeout=0.1)
    with pytest.raises(RedisTimeoutError):
        client.ping()

    server.thaw()
    assert server.client().ping()


def test_an_append_only_file_survives_a_kill_but_for_what_is_cut_off() -> None:
    with RedisServer(options={"appendonly": "yes", "appendfsync": "always"}) as server:
        client = server.client()
        client.set("first", "1")
        client.set("second", "2")

        server.kill()
        server.truncate_aof(3)
        server.start()

        assert client.get("first") == b"1"
        assert client.get("second") is None


def test_a_wiped_redis_returns_empty(server: RedisServer) -> None:
    server.client().set("key", "value")
    server.client().save()
    server.stop()
    server.wipe()
    server.start()
    assert server.client().dbsize() == 0


def test_a_redis_started_by_a_thread_outlives_it() -> None:
    server = RedisServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with server:
        assert server.client().ping()


def test_a_redis_is_reached_by_its_unix_socket(server: RedisServer) -> None:
    with redis.Redis(unix_socket_path=str(server.unix_socket)) as client:
        assert client.ping()


def test_a_sentinel_promotes_the_replica_of_a_dead_master(
    server: RedisServer, wait_until: WaitUntil
) -> None:
    with RedisServer(replica_of=server) as replica, SentinelServer(server) as sentinel:
        with sentinel.client() as client:
            wait_until(lambda: client.sentinel_slaves(sentinel.service_name))
        server.kill()

        wait_until(lambda: is_master(replica))


def is_master(server: RedisServer) -> bool:
    """A server that is just being promoted closes the connections of its clients."""
    with suppress(RedisConnectionError), server.client() as client:
        return bool(client.info("replication")["role"] == "master")
    return False
