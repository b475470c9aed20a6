"""The health report as the document has it: the shapes alone."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ..breaker import CircuitState
from ..health import Status
from .fields import word
from .letter_forms import LetterStats


class HealthReason(serializers.Serializer[Any]):
    """Why the status is not better: a code that stays, and a sentence."""

    code = serializers.CharField()
    status = word(*Status, name="QueueHealthStatus")
    message = serializers.CharField()


class StoreHealth(serializers.Serializer[Any]):
    """Whether a store takes jobs, and why not; the latency is of one small write."""

    status = word("up", "away", name="QueueStoreStatus")
    latency_ms = serializers.FloatField(allow_null=True)
    cause = serializers.CharField()


class RedisHealth(StoreHealth):
    """One Redis. Failures and circuit are those of the process that answers."""

    address = serializers.CharField()
    consecutive_failures = serializers.IntegerField()
    circuit = word(*CircuitState, name="QueueCircuit")


class WorstRedis(RedisHealth):
    """The Redis that is worst off, and all of them where there are several."""

    servers = RedisHealth(many=True, required=False)


class Fallback(serializers.Serializer[Any]):
    """Whether jobs go to the database, and the rows there by state."""

    active = serializers.BooleanField()
    rows = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    rows_are_at_least = serializers.BooleanField()
    oldest_seconds = serializers.FloatField(allow_null=True)


class LiveWorkers(serializers.Serializer[Any]):
    """How many there are, by mode, and the queues that none of them serves."""

    alive = serializers.IntegerField(allow_null=True)
    by_mode = serializers.DictField(child=serializers.IntegerField())
    queues_without = serializers.ListField(child=serializers.CharField())


class StoredJobs(serializers.Serializer[Any]):
    """Jobs of one queue in one store."""

    waiting = serializers.IntegerField()
    active = serializers.IntegerField()
    scheduled = serializers.IntegerField()
    deferred = serializers.IntegerField()
    failed = serializers.IntegerField()
    oldest_seconds = serializers.FloatField(allow_null=True)


class HealthOfQueue(serializers.Serializer[Any]):
    """One queue; its stores are null where nobody could say."""

    name = serializers.CharField()
    waiting = serializers.IntegerField()
    oldest_seconds = serializers.FloatField(allow_null=True)
    workers = serializers.IntegerField(allow_null=True)
    paused = serializers.BooleanField()
    redis = StoredJobs(allow_null=True)
    database = StoredJobs(allow_null=True)


class OutageLine(serializers.Serializer[Any]):
    """An outage; ``ended_at`` is null while it lasts."""

    broker = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    cause = serializers.CharField()
    jobs_executed = serializers.IntegerField()
    jobs_drained = serializers.IntegerField()


class LossPath(serializers.Serializer[Any]):
    """A known way for jobs to be lost, and how many are on it now; ``queues`` is empty for all."""

    code = serializers.CharField()
    meaning = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField())
    exposed = serializers.IntegerField(allow_null=True)


class JobMetrics(serializers.Serializer[Any]):
    """Jobs since the counting began."""

    total = serializers.IntegerField()
    successful = serializers.IntegerField()
    failed = serializers.IntegerField()
    retried = serializers.IntegerField()
    fallback_jobs = serializers.IntegerField()
    lost = serializers.IntegerField()
    loss_paths = LossPath(many=True)


class Health(serializers.Serializer[Any]):
    """Status and reasons; all else is for who may ``view_health``, while the database answers."""

    status = word(*Status, name="QueueHealthStatus")
    reasons = HealthReason(many=True)
    checked_at = serializers.DateTimeField(required=False)
    redis = WorstRedis(required=False)
    database = StoreHealth(required=False)
    fallback = Fallback(required=False)
    workers = LiveWorkers(required=False)
    queues = HealthOfQueue(many=True, required=False)
    dead_letters = LetterStats(required=False, allow_null=True)
    last_outage = OutageLine(required=False, allow_null=True)
    paused = serializers.ListField(child=serializers.CharField(), required=False)
    suspended = serializers.BooleanField(required=False)
    unprotected = serializers.IntegerField(required=False)
    metrics = JobMetrics(required=False, allow_null=True)
