"""Each Redis that a process enqueues to: its link, its circuit, and what is known of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connections
from django.utils import timezone
from django_rq.connection_utils import get_connection
from django_rq.settings import get_queues_map
from redis import Redis

from .. import events, signals
from ..breaker import CircuitBreaker, CircuitState, Permit
from ..conf import settings
from ..exceptions import StoreError, StoreRefused
from ..meter import Key, Kind
from ..models import Outage
from . import measures, patience
from .guard import database_errors
from .keys import Keys, our_key
from .links import RedisLink, address_of, link_to
from .pushes import Answer, Push
from .redis import RedisStore

# Parts of ENQUEUE_TIMEOUT: how long a push may wait before others go round it, and how long one
# waits at most, with connecting, greeting and loading scripts included.
_PATIENCE = 0.25
_LONGEST = 10


class Broker:
    """One Redis as producers use it. Shared by the threads of a process."""

    def __init__(self, connection: Redis) -> None:
        self.address = address_of(connection)
        timeout = settings.ENQUEUE_TIMEOUT
        self.link: RedisLink = link_to(connection, timeout=timeout, connect_timeout=timeout / 2)
        self.breaker = CircuitBreaker(
            threshold=lambda: settings.FAILURE_THRESHOLD,
            recovery_timeout=lambda: settings.RECOVERY_TIMEOUT,
            reset_timeout=lambda: settings.RESET_TIMEOUT,
            on_change=self._announce,
        )
        self.epoch = ""
        self._clock_ahead: float | None = None  # Redis's clock minus this machine's monotonic one
        self._asked_at = 0.0
        self._waiting: dict[object, float] = {}  # pushes without an answer, since when

    def permit(self) -> Permit:
        """Ask the circuit, unless a push that waits already stands for the others.

        A frozen Redis then costs few callers the whole timeout, however many threads there are.
        """
        if self._is_in_doubt():
            return Permit(allowed=False, era=-1)
        return self.breaker.allow()

    @property
    def is_in_use(self) -> bool:
        """Tell whether a push would be tried now."""
        return self.breaker.state is CircuitState.CLOSED and not self._is_in_doubt()

    def push(self, pushes: Sequence[Push], keys: Keys) -> list[Any]:
        """Push in one round trip; each place holds an Answer or a StoreError."""
        token = object()
        self._waiting[token] = time.monotonic()
        try:
            self._greet_once()
            answers = RedisStore(self.link, keys).push(
                pushes, epoch=self.epoch, deadline=self.deadline()
            )
        except StoreError as error:
            return [error] * len(pushes)
        finally:
            del self._waiting[token]
        return [self._learn(answer) for answer in answers]

    def deadline(self) -> float:
        """The second on Redis's clock after which a push sent now is too late."""
        return (self._clock_ahead or 0.0) + time.monotonic() + settings.PUSH_DEADLINE

    def probe(self) -> None:
        """Make one small write. Raises StoreRefused or StoreAmbiguous where Redis can't take it."""
        probe(self.link)

    def report_failure(self, permit: Permit, cause: StoreError) -> None:
        """Count a failure; a known outage opens the circuit at once, a new one is reported."""
        opened = self.breaker.record_failure(permit)
        if connections[settings.DATABASE].in_atomic_block:
            return  # a row of ours in the caller's transaction would block others until it ends
        try:
            with database_errors(settings.DATABASE):
                outages = Outage.objects.using(settings.DATABASE)
                if opened:
                    if outages.begin(self.address, cause=str(cause), reported_by="producer"):
                        measures.count(Key(Kind.OUTAGE))
                elif outages.open(self.address).exists():
                    self.breaker.trip()
        except StoreError:
            events.OUTAGE_NOT_REPORTED.log(broker=self.address)

    def look_for_recovery(self) -> None:
        """While the circuit is open, ask once a second whether workers have closed the outage."""
        now, opened_at = time.monotonic(), self.breaker.opened_at
        if opened_at is None or now - max(opened_at, self._asked_at) < 1:
            return
        self._asked_at = now
        since = timezone.now() - timedelta(seconds=now - opened_at)
        try:
            with database_errors(settings.DATABASE):
                outages = Outage.objects.using(settings.DATABASE)
                # A circuit that opened before any outage was reported waits for its own probe.
                ended = outages.filter(broker=self.address, ended_at__gte=since).exists()
                if ended and not outages.open(self.address).exists():
                    self.breaker.close()
        except StoreError:
            return

    def _is_in_doubt(self) -> bool:
        """Tell whether a push has waited for long or, after a failure, whether any waits at all; or
        this request did."""
        if patience.lost_with(self.link) is not None:
            return True
        now, timeout = time.monotonic(), settings.ENQUEUE_TIMEOUT
        grace = 0.0 if self.breaker.failures else timeout * _PATIENCE
        # Older ones are a parent's, whose threads a fork did not take along.
        ages = [now - since for since in tuple(self._waiting.values())]
        return any(grace <= age < timeout * _LONGEST for age in ages)

    def _greet_once(self) -> None:
        if self._clock_ahead is None:
            try:
                self.greet()
            except StoreError as error:  # whatever became of the greeting: no push was sent
                raise StoreRefused(error.cause) from error

    def greet(self) -> None:
        """Learn epoch and clock; a push without them could land late and do harm."""
        clock, epoch = self.link.call_all([("TIME",), ("GET", our_key("epoch"))])
        for answer in (clock, epoch):
            if isinstance(answer, StoreError):
                raise answer
            if isinstance(answer, Exception):
                raise StoreRefused(answer) from answer
        self.set_clock(float(clock[0]))
        self.epoch = (epoch or b"").decode()

    def _learn(self, answer: Any) -> Any:
        if isinstance(answer, Answer):
            self.epoch = answer.epoch or self.epoch
            self.set_clock(answer.clock)
        return answer

    def set_clock(self, seconds: float) -> None:
        """Note what time it is on Redis's clock (seconds)."""
        self._clock_ahead = seconds - time.monotonic()

    def _announce(self, old: CircuitState, new: CircuitState) -> None:
        events.CIRCUIT_CHANGED.log(broker=self.address, was=old.value, now=new.value)
        measures.count(Key(Kind.CIRCUIT, detail=new.value))
        signals.circuit_changed.send_robust(CircuitBreaker, old_state=old, new_state=new)


def probe(link: RedisLink) -> None:
    """Make one small write over a link: a Redis that is full or read-only answers a PING."""
    link.call("SET", our_key("writable"), "1", "EX", 60)


_brokers: dict[tuple[Any, ...], Broker] = {}
_lock = threading.Lock()


def broker_of(connection: Redis) -> Broker:
    """Return the broker that *connection* speaks to, one for each server and credentials."""
    kwargs = connection.connection_pool.connection_kwargs
    key = (address_of(connection), kwargs.get("username"), kwargs.get("password"))
    broker = _brokers.get(key)
    if broker is None:
        with _lock:
            broker = _brokers.setdefault(key, Broker(connection))
    return broker


def all_brokers() -> list[Broker]:
    """Return the brokers of all queues, each once: first those that seem to be there, as one that
    is away costs a wait."""
    found = (broker_of(get_connection(name)) for name in get_queues_map())
    each_once = {broker.address: broker for broker in found}.values()
    return sorted(each_once, key=lambda broker: not broker.is_in_use)


def require_queue(name: str) -> None:
    """Raise ValueError, with the names there are, for a queue that is not in ``RQ_QUEUES``."""
    known = get_queues_map()
    if name not in known:
        raise ValueError(f"no queue {name!r} in RQ_QUEUES; there are: {', '.join(sorted(known))}")


def reset() -> None:
    """Forget every broker, with its circuit and connections; for tests."""
    with _lock:
        for broker in _brokers.values():
            broker.link.pool.disconnect()
        _brokers.clear()
