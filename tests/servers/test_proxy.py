"""Each fault of the proxy looks to a Redis client like the one that it stands for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from example_project.servers import FaultyProxy, RedisServer
from example_project.servers.certificates import Certificates
from tests.conftest import WaitUntil
from tests.patience import LIMIT, bound

SHORT = 0.2  # seconds that a client waits for an answer which does not come


class Connect(Protocol):
    def __call__(self, timeout: float = LIMIT) -> redis.Redis: ...


@pytest.fixture
def connect(proxy: FaultyProxy) -> Iterator[Connect]:
    clients = []

    def new(timeout: float = LIMIT) -> redis.Redis:
        client = redis.Redis(
            port=proxy.port,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        clients.append(client)
        return client

    yield new
    for client in clients:
        client.close()


def test_it_passes_everything_until_told_otherwise(connect: Connect) -> None:
    value = b"x" * 300_000
    assert connect().set("key", value)
    assert connect().get("key") == value


def test_refusing_it_has_no_listener_and_ends_what_was_open(
    proxy: FaultyProxy, connect: Connect
) -> None:
    client = connect()
    client.ping()

    proxy.refuse()
    with pytest.raises(RedisConnectionError):
        client.ping()
    with pytest.raises(RedisConnectionError, match="refused"):
        connect().ping()
    proxy.pass_through()

    assert client.ping()


def test_resetting_it_accepts_and_cuts(proxy: FaultyProxy, connect: Connect) -> None:
    proxy.reset()
    with pytest.raises(RedisConnectionError):
        connect().ping()


def test_a_black_hole_swallows_what_it_was_sent(
    proxy: FaultyProxy, connect: Connect, redis_server: RedisServer
) -> None:
    client = connect()
    client.ping()
    bound(client.connection_pool, SHORT)
    proxy.blackhole()

    with pytest.raises(RedisTimeoutError):
        client.set("key", "value")
    with pytest.raises(RedisTimeoutError):
        connect(SHORT).ping()
    proxy.pass_through()

    bound(client.connection_pool, LIMIT)
    assert client.ping()
    assert redis_server.client().get("key") is None


def test_an_unreachable_host_does_not_even_accept(proxy: FaultyProxy, connect: Connect) -> None:
    proxy.unreachable()
    with pytest.raises(RedisTimeoutError, match="connecting"):
        connect(SHORT).ping()
    proxy.pass_through()
    assert connect().ping()


def test_what_it_held_arrives_late(
    proxy: FaultyProxy, connect: Connect, redis_server: RedisServer, wait_until: WaitUntil
) -> None:
    client = connect()
    client.ping()
    bound(client.connection_pool, SHORT)
    proxy.hold()
    with pytest.raises(RedisTimeoutError):
        client.set("key", "value")
    assert redis_server.client().get("key") is None

    client.close()

    proxy.pass_through()
    wait_until(lambda: redis_server.client().get("key") == b"value")


def test_a_dropped_reply_leaves_the_client_unsure_of_what_was_done(
    proxy: FaultyProxy, connect: Connect, redis_server: RedisServer
) -> None:
    proxy.drop_reply(b"INCR", every=2, times=1)
    client = connect()
    assert client.incr("counter") == 1
    with pytest.raises(RedisConnectionError):
        client.incr("counter")

    assert client.incr("counter") == 3
    assert client.incr("counter") == 4
    assert proxy.dropped == 1


def test_a_dropped_request_was_not_done(
    proxy: FaultyProxy, connect: Connect, redis_server: RedisServer
) -> None:
    proxy.drop_request(b"INCR", times=1)
    client = connect()
    with pytest.raises(RedisConnectionError):
        client.incr("counter")
    assert client.incr("counter") == 1


def test_a_match_is_found_across_two_chunks(proxy: FaultyProxy, redis_server: RedisServer) -> None:
    proxy.drop_request(lambda data: False)
    proxy.drop_request(b"NEEDLE")
    with socket.create_connection((proxy.host, proxy.port), timeout=LIMIT) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(b"*2\r\n$4\r\nECHO\r\n$6\r\nNEE")
        raw.sendall(b"DLE\r\n")
        with suppress(ConnectionResetError):
            assert raw.recv(100) == b""
    assert proxy.dropped == 1


def test_a_delayed_reply_arrives(proxy: FaultyProxy, connect: Connect) -> None:
    client = connect()
    client.ping()
    proxy.delay(0.05)
    assert client.ping()
    bound(client.connection_pool, SHORT)
    proxy.delay(0.4)
    with pytest.raises(RedisTimeoutError):
        client.ping()


def test_faults_may_change_while_many_clients_talk(proxy: FaultyProxy, connect: Connect) -> None:
    def talk(client: redis.Redis) -> None:
        for _ in range(50):
            with suppress(RedisError):
                client.ping()

    with ThreadPoolExecutor(8) as pool:
        talks = [pool.submit(talk, connect()) for _ in range(8)]
        for _ in range(10):
            proxy.reset()
            proxy.pass_through()
            proxy.refuse()
            proxy.pass_through()
        for result in talks:
            result.result()
    assert connect().ping()


def test_it_ends_tls_before_a_plain_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    server_side = certificates.server_context()
    with FaultyProxy(redis_server.host, redis_server.port, tls=server_side) as proxy:
        assert proxy.url.startswith("rediss://")
        with redis.Redis.from_url(proxy.url, ssl_ca_certs=str(certificates.ca_file)) as client:
            assert client.ping()
