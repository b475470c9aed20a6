"""Noting once a minute how things stand, for the charts."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django_rq.settings import get_queues_list

from ..facts import QueueCounts, database_facts, redis_facts
from ..facts.history import enqueued_by_bucket, performed_by_queue
from ..models import Sample
from .station import Station
from .statistics import dead_by_queue


def take_sample(station: Station, *, asks_redis: bool) -> int:
    """Note the minute, unless a worker has; returns 0, for nothing hurries.

    Raises StoreError: then the minute is noted at the next turn, or never, which is a gap.
    """
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    table, broker = station.table, station.broker.address
    samples = Sample.objects.using(table.alias)
    with table.statement():
        if samples.filter(broker=broker, minute=minute).exists():
            return 0
    waiting = _waiting(station, asks_redis)
    with table.statement():
        samples.take(
            broker,
            minute,
            taken_at=now,
            waiting=waiting,
            dead=_dead(station),
            performed=performed_by_queue(table.alias, station.queue_names),
            enqueued=enqueued_by_bucket(table.alias, station.queue_names),
        )
    _thin(station, now)
    return 0


def _waiting(station: Station, asks_redis: bool) -> int:
    """Count what could run now: in the rows alone and, as far as it answers, in Redis."""
    names, none = station.queue_names, QueueCounts()
    with station.table.statement():
        facts = database_facts(station.table.alias)
    there = facts.shared
    if asks_redis:
        there = redis_facts(station.redis.link, station.broker.address, names).queues
    both = (facts.own, there)
    return sum(counts.get(name, none).waiting for counts in both for name in names)


def _dead(station: Station) -> int:
    """Count letters of the queues of this Redis, and with the first one those of no queue."""
    mine, known = set(station.queue_names), [config["name"] for config in get_queues_list()]
    others = set(known) - mine
    dead = dead_by_queue()
    if known and known[0] in mine:
        return sum(count for name, count in dead.items() if name not in others)
    return sum(count for name, count in dead.items() if name in mine)


def _thin(station: Station, now: datetime) -> None:
    with station.table.statement():
        Sample.objects.using(station.table.alias).thin(station.broker.address, now)
