"""A link asks once, in bounded time, and sorts what goes wrong: refused, ambiguous, a mistake."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis import exceptions as errors

from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused
from django_resilient_queue.stores.keys import Keys, our_key
from django_resilient_queue.stores.links import RedisLink, link_to, script
from example_project.servers import FaultyProxy, RedisServer
from tests.conftest import WaitUntil
from tests.enqueueing import seconds
from tests.patience import LIMIT, bound

pytestmark = pytest.mark.one_database

PROBE = (our_key("settled"), *Keys().head, "default", "id", "g", "1", "60", "", "0", "0")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of this test alone, which may be spoilt for good."""
    with RedisServer() as running:
        yield running


def link_at(port: int, *, timeout: float = LIMIT) -> RedisLink:
    return link_to(redis.Redis(port=port), timeout=timeout)


def write(link: RedisLink) -> object:
    return link.call("SET", "key", "value")


def write_in_a_script(link: RedisLink) -> object:
    """The smallest script of ours that writes."""
    return link.run(script("evict"), PROBE[:1], *PROBE[1:])


def write_in_one_of_many(link: RedisLink) -> object:
    (answer,) = link.run_all(script("evict"), [(PROBE[:1], PROBE[1:])])
    if isinstance(answer, Exception):
        raise answer
    return answer


each_write = pytest.mark.parametrize("write", [write, write_in_a_script, write_in_one_of_many])


@contextmanager
def answering(line: bytes) -> Iterator[int]:
    """A server that has one answer to everything; yields its port."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                self.request.sendall(line)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


# ---- refused: Redis says that it did not do it ------------------------------------------------

REFUSALS = (
    b"-LOADING Redis is loading the dataset in memory",
    b"-READONLY You can't write against a read only replica.",
    b"-OOM command not allowed when used memory > 'maxmemory'.",
    b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
    b"-NOAUTH Authentication required.",
    b"-WRONGPASS invalid username-password pair or user is disabled.",
    b"-NOPERM this user has no permissions to run the 'set' command",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"-CLUSTERDOWN The cluster is down",
    b"-TRYAGAIN Multiple keys request during rehashing of slot",
    b"-NOREPLICAS Not enough good replicas to write.",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"-ERR max number of clients reached",
    # As Redis 6 wraps what a script met, and as Redis 7 does.
    b"-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed when used",
    b"-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write",
    b"-MISCONF Errors writing to the AOF file: No space left on device script: 1, on @user",
)


@pytest.mark.parametrize("line", REFUSALS, ids=lambda line: line.decode()[1:60])
@each_write
def test_an_answer_that_says_not_now_is_a_refusal(
    line: bytes, write: Callable[[RedisLink], object]
) -> None:
    with answering(line + b"\r\n") as port, pytest.raises(StoreRefused):
        write(link_at(port))


def a_replica(server: RedisServer) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)


def a_replica_without_its_master(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", 1)


def out_of_memory(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")


def unable_to_save(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("save", "3600 1")
        (Path(server.data) / "dump.rdb").mkdir()
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            pass


def behind_a_password(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("requirepass", "s3cret")


def without_permission(server: RedisServer) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-@write")


@pytest.mark.parametrize(
    "state",
    [
        a_replica,
        a_replica_without_its_master,
        out_of_memory,
        unable_to_save,
        behind_a_password,
        without_permission,
    ],
)
@each_write
def test_a_real_redis_that_takes_no_writes_refuses(
    server: RedisServer, state: Callable[[RedisServer], None], write: Callable[[RedisLink], object]
) -> None:
    state(server)
    with pytest.raises(StoreRefused):
        write(link_at(server.port))


@pytest.mark.parametrize("fault", ["refuse", "unreachable"])
def test_what_could_not_connect_was_not_sent(proxy: FaultyProxy, fault: str) -> None:
    getattr(proxy, fault)()
    with pytest.raises(StoreRefused):
        write(link_at(proxy.port, timeout=0.2))


# ---- ambiguous: no answer came ----------------------------------------------------------------


@each_write
def test_a_write_without_an_answer_is_ambiguous(
    server: RedisServer, write: Callable[[RedisLink], object]
) -> None:
    link = link_at(server.port)
    link.call("PING")
    bound(link.pool, 0.2)
    with server.frozen(), pytest.raises(StoreAmbiguous):
        write(link)


@pytest.mark.parametrize("lost", ["drop_reply", "drop_request"])
def test_a_connection_that_breaks_after_sending_is_ambiguous(
    proxy: FaultyProxy, redis_server: RedisServer, lost: str
) -> None:
    link = link_at(proxy.port)
    getattr(proxy, lost)(b"SET")
    with pytest.raises(StoreAmbiguous):
        write(link)
    with redis_server.client() as client:
        assert client.exists("key") == (1 if lost == "drop_reply" else 0)


def test_a_redis_that_dies_while_it_is_asked_is_ambiguous(
    server: RedisServer, wait_until: WaitUntil
) -> None:
    link = link_at(server.port)
    found: list[object] = []

    def ask() -> None:
        try:
            link.call("BLPOP", "nothing", 0)
        except StoreAmbiguous as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    with server.client() as client:
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
    server.kill()
    thread.join(60)
    assert len(found) == 1


# ---- mistakes: they raise as they are ---------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("LPUSH", "text", "x"), ("NOSUCH",), ("EVAL", "return nonsense()", 0), ("SET", "alone")],
)
def test_a_programming_error_is_neither_refused_nor_ambiguous(
    redis_server: RedisServer, command: tuple[Any, ...]
) -> None:
    link = link_at(redis_server.port)
    link.call("SET", "text", "x")
    with pytest.raises(errors.ResponseError):
        link.call(*command)


def test_one_mistake_among_many_stands_in_its_place(redis_server: RedisServer) -> None:
    link = link_at(redis_server.port)
    first, second, third = link.call_all([("SET", "a", "1"), ("LPUSH", "a", "x"), ("GET", "a")])
    assert (first, third) == (b"OK", b"1")
    assert isinstance(second, errors.ResponseError)


# ---- asked once -------------------------------------------------------------------------------


def calls(server: RedisServer, command: str) -> int:
    """How often the server has carried out a command since its counters were cleared."""
    # Over a link, since a client of redis-py announces itself, and that would count.
    counted = link_at(server.port).call("INFO", "commandstats").decode()
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", counted)
    return int(found[1]) if found else 0


@pytest.fixture
def counting(redis_server: RedisServer) -> RedisServer:
    write_in_a_script(link_at(redis_server.port))  # loaded from now on
    with redis_server.client() as client:
        client.config_resetstat()
    return redis_server


def test_a_write_whose_reply_was_lost_is_not_sent_again(
    proxy: FaultyProxy, counting: RedisServer
) -> None:
    proxy.drop_reply(b"EVALSHA")
    with pytest.raises(StoreAmbiguous):
        write_in_a_script(link_at(proxy.port))
    assert calls(counting, "evalsha") == 1


def test_a_write_that_was_lost_on_its_way_is_not_sent_again(
    proxy: FaultyProxy, counting: RedisServer
) -> None:
    proxy.drop_request(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        write_in_a_script(link_at(proxy.port))
    assert calls(counting, "evalsha") == 0
    assert proxy.connections_made == 1


def test_a_write_that_times_out_is_not_sent_again(
    proxy: FaultyProxy, counting: RedisServer, wait_until: WaitUntil
) -> None:
    proxy.delay(0.5)
    with pytest.raises(StoreAmbiguous):
        write_in_a_script(link_at(proxy.port, timeout=0.2))
    wait_until(lambda: calls(counting, "evalsha"))
    assert calls(counting, "evalsha") == 1


def test_a_refusal_is_not_asked_again(server: RedisServer) -> None:
    out_of_memory(server)
    link = link_at(server.port)
    with server.client() as client:
        client.config_resetstat()
    with pytest.raises(StoreRefused):
        write(link)
    with server.client() as client:
        counted = client.info("commandstats")["cmdstat_set"]
    assert counted["calls"] + counted.get("rejected_calls", 0) == 1


def test_a_call_needs_one_round_trip_on_one_connection(
    proxy: FaultyProxy, counting: RedisServer
) -> None:
    link = link_at(proxy.port)
    for _ in range(3):
        write_in_a_script(link)
    assert proxy.connections_made == 1
    assert calls(counting, "evalsha") == 3
    assert [calls(counting, each) for each in ("client", "hello", "select", "script")] == [0] * 4


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["blackhole", "hold", "unreachable", "refuse", "reset"])
def test_an_answer_or_an_error_comes_within_the_timeout(proxy: FaultyProxy, fault: str) -> None:
    getattr(proxy, fault)()

    def ask() -> None:
        with pytest.raises((StoreRefused, StoreAmbiguous)):
            write(link_at(proxy.port, timeout=0.2))

    assert any(seconds(ask) <= 0.3 for _ in range(3))


# ---- scripts ----------------------------------------------------------------------------------


def test_a_server_that_lost_its_scripts_is_given_them_once(counting: RedisServer) -> None:
    link = link_at(counting.port)
    with counting.client() as client:
        client.script_flush()
    assert write_in_a_script(link) is None
    assert calls(counting, "script") == 2  # the flush and the load
    assert write_in_a_script(link) is None
    assert calls(counting, "script") == 2


def test_of_many_calls_each_is_carried_out_once_when_the_script_was_missing(
    redis_server: RedisServer,
) -> None:
    link = link_at(redis_server.port)
    fences = [(PROBE[:1], (*PROBE[1:5], f"id{n}", *PROBE[6:])) for n in range(20)]
    assert link.run_all(script("evict"), fences) == [None] * 20
    with redis_server.client() as client:
        assert len(client.keys("drq:fence:*")) == 20
