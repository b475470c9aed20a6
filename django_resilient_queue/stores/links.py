"""Connections to Redis that answer in bounded time and never retry behind our back.

redis-py's defaults make one refused command cost seconds and send a write twice; a link makes one
round trip, and sorts what went wrong into refused and ambiguous.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from redis import ConnectionPool, Redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from ..exceptions import StoreAmbiguous, StoreRefused
from ..jobs import as_bytes
from . import patience

_BROKEN = (errors.ConnectionError, errors.TimeoutError, OSError)

# Answers by which Redis says that it did not do what it was asked, and may do it later.
_REFUSALS = (
    errors.AuthenticationError,
    errors.BusyLoadingError,
    errors.ClusterDownError,
    errors.MasterDownError,
    errors.NoPermissionError,
    errors.OutOfMemoryError,
    errors.ReadOnlyError,
    errors.TryAgainError,
)
# The same where redis-py has no class for it, or Redis 6 wraps it into the error of a script.
_REFUSAL_WORDS = re.compile(
    r"(?:^|-)(?:LOADING|READONLY|OOM|MISCONF|NOAUTH|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|BUSY)\b"
    r"|^max number of clients|^The previous master is now a slave"
    r"|The user executing the script can't"  # run a command, access a key: NOPERM in a script
    r"|^Protocol error: unauthenticated"  # NOAUTH, where a command has many words
)

# What a pool of redis-py carries besides how to reach its server: none of it may be shared.
_NOT_COPIED = frozenset(
    (
        "connection_pool",
        "event_dispatcher",
        "himport_registry",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "oss_cluster_maint_notifications_handler",
        "retry_on_error",
        "retry_on_timeout",
    )
)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script of this package: the shared prelude and its own file."""

    name: str
    body: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """Read ``lua/<name>.lua`` with the prelude before it."""
    folder = files(__package__) / "lua"
    body = b"\n".join((folder / f"{part}.lua").read_bytes() for part in ("prelude", name))
    return Script(name, body, hashlib.sha1(body, usedforsecurity=False).hexdigest())


class Reconnected(StoreRefused):
    """The connection is a new one: the server behind it may have lost writes. Nothing was sent."""


class RedisLink:
    """One Redis, one round trip a call. Thread-safe; its pool notices a fork.

    A *wary* link raises Reconnected instead of using a new connection: pools replace a connection
    that broke without a word, and a server that was restarted in between is not the same.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self.wary = False
        self.pool = pool
        self.client = Redis(connection_pool=pool)

    def call(self, *command: Any) -> Any:
        """Send one command and return its raw answer. Raises StoreRefused or StoreAmbiguous."""
        with patience.waiting_for(self), self._connection() as connection:
            _send(connection, (command,))
            return _value(_sorted(_read(connection)))

    def run(self, script: Script, keys: Sequence[str], *args: Any) -> Any:
        """Run one script, loading it where the server does not have it."""
        return _value(self.run_all(script, [(keys, args)])[0])

    def run_all(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """Run one script with many arguments in one round trip; errors stand in their places."""
        commands = [("EVALSHA", script.sha, len(keys), *keys, *args) for keys, args in calls]
        answers = self.call_all(commands)
        missing = [
            i for i, answer in enumerate(answers) if isinstance(answer, errors.NoScriptError)
        ]
        if missing:
            # A server that was restarted or flushed has lost its scripts: those calls did nothing.
            self.call("SCRIPT", "LOAD", script.body)
            again = self.call_all([commands[i] for i in missing])
            for i, answer in zip(missing, again, strict=True):
                answers[i] = answer
        return [_sorted(answer) for answer in answers]

    def call_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send many commands in one round trip; an error of Redis is returned in its place."""
        if not commands:
            return []
        with patience.waiting_for(self), self._connection() as connection:
            _send(connection, commands)
            return [_read(connection) for _ in commands]

    def close_inherited(self) -> None:
        """In a forked child, close its copies of the parent's sockets; the server hears nothing."""
        for connection in self.pool._available_connections:
            connection.disconnect()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            connection = self.pool.get_connection()
        except (errors.RedisError, OSError) as error:  # nothing was sent
            raise StoreRefused(error) from error
        try:
            self._look_at(connection)
            yield connection
        except Reconnected:
            raise
        except BaseException:
            # What is left unread would be taken for the answer to the next command.
            connection.disconnect()
            raise
        finally:
            self.pool.release(connection)

    def _look_at(self, connection: Any) -> None:
        if getattr(connection, "drq_socket", None) is not connection._sock:
            connection.drq_socket = connection._sock
            if self.wary:
                raise Reconnected(errors.ConnectionError("the connection was replaced"))


def link_to(
    connection: Redis, *, timeout: float, connect_timeout: float | None = None, **options: Any
) -> RedisLink:
    """Make a link to the server that *connection* speaks to, with timeouts (seconds) of its own."""
    bounds = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout if connect_timeout is None else connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
        "decode_responses": False,
        **options,
    }
    pool = connection.connection_pool
    kwargs = {k: v for k, v in pool.connection_kwargs.items() if k not in _NOT_COPIED}
    if "driver_info" in kwargs:
        kwargs["driver_info"] = None  # announcing the library costs two replies a connection
    kwargs.update(bounds)
    if isinstance(pool, SentinelConnectionPool):
        return RedisLink(_sentinel_pool(pool, kwargs))
    return RedisLink(
        ConnectionPool(connection_class=pool.connection_class, max_connections=2**31, **kwargs)
    )


def address_of(connection: Redis) -> str:
    """Name the server of *connection* for people and as a key: no user, no password."""
    pool = connection.connection_pool
    kwargs = pool.connection_kwargs
    db = kwargs.get("db") or 0
    if isinstance(pool, SentinelConnectionPool):
        return f"sentinel:{pool.service_name}/{db}"
    if kwargs.get("path"):
        return f"unix:{kwargs['path']}/{db}"
    return f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}/{db}"


def _sentinel_pool(pool: SentinelConnectionPool, kwargs: dict[str, Any]) -> ConnectionPool:
    nodes = [
        sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels
    ]
    bounds = {name: kwargs[name] for name in ("socket_timeout", "socket_connect_timeout", "retry")}
    own = {k: v for k, v in pool.sentinel_manager.sentinel_kwargs.items() if k not in bounds}
    manager = Sentinel(
        [(node["host"], node["port"]) for node in nodes],
        sentinel_kwargs={**own, **bounds},
    )
    return SentinelConnectionPool(
        pool.service_name,
        manager,
        connection_class=pool.connection_class,
        is_master=True,
        max_connections=2**31,
        **{k: v for k, v in kwargs.items() if k not in ("host", "port")},
    )


def _send(connection: Any, commands: Sequence[Sequence[Any]]) -> None:
    try:
        connection.send_packed_command([_packed(commands)], check_health=False)
    except _BROKEN as error:
        raise StoreAmbiguous(error) from error


def _packed(commands: Sequence[Sequence[Any]]) -> bytes:
    """Write commands as RESP. A push has fifty words: redis-py's packer takes half of its time."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for word in command:
            if type(word) is bytes:
                parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
            else:
                parts.append(_packed_word(word))
    return b"".join(parts)


@lru_cache(maxsize=512, typed=True)  # the names of fields and keys come again and again
def _packed_word(word: str | float) -> bytes:
    raw = as_bytes(word)
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def _read(connection: Any) -> Any:
    try:
        return connection.read_response()
    except _BROKEN as error:
        if _is_refusal(error):  # some refusals are connection errors to redis-py
            return StoreRefused(error)
        raise StoreAmbiguous(error) from error
    except errors.ResponseError as error:
        return error


def _sorted(answer: Any) -> Any:
    if isinstance(answer, errors.ResponseError) and _is_refusal(answer):
        return StoreRefused(answer)
    return answer


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, _REFUSALS) or bool(_REFUSAL_WORDS.search(str(error)))


def _value(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
