"""Prune: what nobody needs any more, so that no table grows without end."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django_rq.settings import get_queues_map

from ..conf import settings
from ..exceptions import UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import (
    DeadLetter,
    FailedAttempt,
    FallbackJob,
    IdempotentRequest,
    Outage,
    WorkerHeartbeat,
)
from ..outcomes import Failure, Reason
from ..stores.measures import count_death
from .homecoming import BATCH
from .station import Station

UNKNOWN_QUEUE_AFTER = timedelta(seconds=60)  # a rolling deployment may bring the queue's settings
_OUTAGES_KEPT = timedelta(days=365)
_ATTEMPTS_KEPT = timedelta(days=30)


def prune(station: Station) -> None:
    """Drop results that have had their time, rows of gone workers and old outages."""
    now = timezone.now()
    table = station.table
    with table.statement():
        over = table.rows.finished().filter(redis_copy=False, check_at__lt=now)
        table.rows.filter(pk__in=list(over.values_list("pk", flat=True)[:5000])).delete()
        Outage.objects.using(table.alias).filter(ended_at__lt=now - _OUTAGES_KEPT).delete()
        IdempotentRequest.objects.using(table.alias).prune(now)
        forget_attempts(table.alias, now)
        for gone in station.watch.stale():
            if not table.rows.claimed().filter(claimed_by=gone.name).exists():
                workers = WorkerHeartbeat.objects.using(table.alias)
                workers.drop(name=gone.name, beat=gone.beat)
    station.suspicions.forget_older(20 * settings.LEASE)
    bury_unknown_queues(station)


def forget_attempts(alias: str, now: datetime) -> None:
    """Of jobs that have no letter: deleted while they waited for a retry, or finished unnoticed."""
    attempts = FailedAttempt.objects.using(alias)
    letters = DeadLetter.objects.using(alias).filter(
        job_id=OuterRef("job_id"), generation=OuterRef("generation")
    )
    old = attempts.filter(~Exists(letters), ended_at__lt=now - _ATTEMPTS_KEPT)
    attempts.filter(pk__in=list(old.values_list("pk", flat=True)[:5000])).delete()


def bury_unknown_queues(station: Station) -> int:
    """Settle the jobs of queues that no setting knows; returns how many."""
    table = station.table
    with table.transaction():
        strangers = table.rows.exclude(queue_name__in=list(get_queues_map()))
        old = strangers.filter(created_at__lt=timezone.now() - UNKNOWN_QUEUE_AFTER)
        rows = list(old.exclude(state="finished").order_by("pk")[:BATCH])
        for letter in table.letters.record([_letter(row) for row in rows]):
            count_death(_job_of(letter), letter.queue_name, table.name, alias=table.alias)
        table.rows.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _job_of(letter: DeadLetter) -> JobSnapshot | None:
    try:
        return letter.snapshot
    except UndecodableSnapshot:
        return None


def _letter(row: FallbackJob) -> DeadLetter:
    words = f"queue {row.queue_name!r} is not in RQ_QUEUES"
    failure = Failure(Reason.UNKNOWN_QUEUE, "", words, words)
    return DeadLetter.of_row(row, failure)
