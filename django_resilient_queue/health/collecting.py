"""Making the report: both stores are asked at the same time, within one bound."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django_rq.connection_utils import get_connection
from django_rq.settings import get_queues_list

from ..breaker import CircuitState
from ..conf import settings
from ..exceptions import StoreError, describe
from ..facts import DatabaseFacts, QueueCounts, Sightings, WorkerFacts
from ..models.paused_queue import ALL
from ..models.worker_heartbeat import Mode
from ..stores.brokers import Broker, broker_of
from .asking import Asking
from .exposure import loss_paths
from .questions import DatabaseAnswer, RedisAnswer, ask_database, ask_redis
from .reasons import judged
from .report import BrokerHealth, HealthReport, QueueHealth, Status, StoreHealth

BOUND = 0.7  # seconds in which a store has to answer; the rest of a report takes no time
# Without the database's clock and rows, a worker of ours counts as alive for so many leases.
_LEASES = 3

_sightings = Sightings()
_away_since: dict[str, datetime] = {}


def collect(*, patience: float = BOUND) -> HealthReport:
    """Ask both stores and judge what they say, in less than a second whatever they do; *patience*
    (seconds) is for how long Redis is waited for.

    Nothing is changed, but for the small write that shows whether Redis takes one. Raises only what
    a mistake in the settings raises.
    """
    return _Inquiry(list(brokers()), min(patience, BOUND)).report()


def reset() -> None:
    """Forget what former reports have seen; for tests."""
    global _sightings
    _sightings = Sightings()
    _away_since.clear()


def brokers() -> Iterator[tuple[Broker, list[str]]]:
    """Each Redis with the names of its queues."""
    found: dict[str, tuple[Broker, list[str]]] = {}
    for config in get_queues_list():
        broker = broker_of(get_connection(config["name"]))
        found.setdefault(broker.address, (broker, []))[1].append(config["name"])
    return iter(found.values())


class _Inquiry:
    """The questions of one report, and their answers as far as they came in time."""

    def __init__(self, brokers: Sequence[tuple[Broker, list[str]]], patience: float) -> None:
        self.brokers, self.patience = brokers, patience
        asked: dict[str, Asking[RedisAnswer]] = {
            broker.address: ask_redis(broker, names) for broker, names in brokers
        }
        database = ask_database(_sightings)
        for each in asked.values():
            each.wait(patience)
        database.wait(BOUND)
        self.now = timezone.now()
        self.asked, self.asked_database = asked, database
        self.redis = {address: each.found for address, each in asked.items()}
        self.database: DatabaseAnswer = database.found

    @property
    def facts(self) -> DatabaseFacts | None:
        return self.database.facts

    def report(self) -> HealthReport:
        """Put the answers together."""
        brokers = [self._broker(broker) for broker, _ in self.brokers]
        workers = self._workers()
        answers = [each.facts for each in self.redis.values() if each.facts]
        paused = self.database.paused
        if paused is None:
            paused = sorted({name for facts in answers for name in facts.paused})
        queues = [
            self._queue(name, broker.address, workers, paused)
            for broker, names in self.brokers
            for name in names
        ]
        facts = self.facts
        report = HealthReport(
            status=Status.HEALTHY,
            reasons=(),
            checked_at=self.now,
            brokers=brokers,
            database=_store(
                "database", self.asked_database, self.database.latency, self.now, BOUND
            ),
            queues=queues,
            workers=workers,
            is_falling_back=self._is_falling_back(brokers, workers),
            rows=facts.rows if facts else None,
            rows_are_capped=bool(facts and facts.is_capped),
            oldest_row=facts.oldest if facts else None,
            look_due=facts.look_due if facts else None,
            reconcilers=facts.reconcilers if facts else None,
            dead_letters=self.database.letters,
            last_outage=self.database.last_outage,
            open_outages=self.database.open_outages,
            paused=paused,
            is_suspended=any(each.is_suspended for each in answers),
            unprotected=sum(each.unprotected for each in answers),
            counts=facts.counts if facts else None,
            loss_paths=loss_paths(queues, sum(each.unprotected for each in answers)),
            lost=self.database.lost,
            untold=self._untold(),
        )
        return judged(report)

    def _broker(self, broker: Broker) -> BrokerHealth:
        circuit, opened_at = broker.breaker.state, broker.breaker.opened_at
        due = opened_at is None or time.monotonic() - opened_at > settings.RECOVERY_TIMEOUT
        answer = self.redis[broker.address]
        return BrokerHealth(
            broker.address,
            _store(
                f"redis {broker.address}",
                self.asked[broker.address],
                answer.latency,
                self.now,
                self.patience,
            ),
            broker.breaker.failures,
            circuit.value,
            circuit is CircuitState.OPEN and not due,
        )

    def _untold(self) -> list[str]:
        names = ["Redis"] if any(a.latency and not a.facts for a in self.redis.values()) else []
        if self.database.latency is not None and self.database.letters is None:
            names.append("The database")
        return names

    def _workers(self) -> list[WorkerFacts] | None:
        """Those of the database, and of rq's own class those that Redis knows."""
        answers = [each.facts for each in self.redis.values() if each.facts]
        known = [worker for facts in answers for worker in facts.workers]
        plain = [worker for worker in known if not worker.mode]
        if self.database.alive is not None:
            return [*self.database.alive, *plain]
        if not answers:
            return None
        oldest = self.now - timedelta(seconds=_LEASES * settings.LEASE)
        return [worker for worker in known if not worker.mode or worker.seen_at > oldest]

    def _queue(
        self,
        name: str,
        address: str,
        workers: Sequence[WorkerFacts] | None,
        paused: Sequence[str],
    ) -> QueueHealth:
        redis = self.redis[address].facts
        counts = redis.queues[name] if redis else None
        own = self.facts.own.get(name, QueueCounts()) if self.facts else None
        # What Redis may have waits there; where it does not say, the rows do.
        there = counts
        if there is None and self.facts:
            there = self.facts.shared.get(name)
        both = [each for each in (own, there) if each is not None]
        serving = None
        if workers is not None:
            serving = sum(worker.serves(name, address) for worker in workers)
        return QueueHealth(
            name,
            address,
            counts,
            own,
            waiting=sum(each.waiting for each in both),
            oldest=min((each.oldest for each in both if each.oldest), default=None),
            workers=serving,
            is_paused=name in paused or ALL in paused,
        )

    def _is_falling_back(
        self, brokers: Sequence[BrokerHealth], workers: Sequence[WorkerFacts] | None
    ) -> bool:
        if any(not each.store.is_up or each.is_refusing for each in brokers):
            return True
        changed = any(worker.mode == Mode.DATABASE for worker in workers or ())
        return changed or bool(self.database.open_outages)


def _store(
    name: str,
    asked: Asking[RedisAnswer] | Asking[DatabaseAnswer],
    latency: float | None,
    now: datetime,
    patience: float,
) -> StoreHealth:
    if latency is not None:
        _away_since.pop(name, None)
        return StoreHealth(True, latency)
    return StoreHealth(
        False, cause=_cause(asked.error, patience), away_since=_away_since.setdefault(name, now)
    )


def _cause(error: Exception | None, patience: float) -> str:
    if error is None:
        return f"no answer within {patience:g} s"
    return str(error) if isinstance(error, StoreError) else describe(error)
