"""A row of each table that the admin shows, with a name by which a page is known to show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Model

from django_resilient_queue.models import (
    Alert,
    AlertSilence,
    DeadLetter,
    Export,
    FailedAttempt,
    FallbackJob,
    Notification,
    NotificationDelivery,
    NotificationPreference,
    Outage,
    PausedQueue,
    PushSubscription,
    RecoveryRun,
    RunItem,
    WorkerHeartbeat,
)

SECRET = b"the-payload-of-a-job"
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


def make_letter(job_id: str, **values: Any) -> DeadLetter:
    """Save a dead letter, as it is counted."""
    values = {"reason": "raised", "traceback": "Traceback: the-long-one", **values}
    letter = DeadLetter(job_id=job_id, generation="g", payload=SECRET, died_at=NOON, **values)
    DeadLetter.objects.record([letter])
    return DeadLetter.objects.get(job_id=job_id)


def make_job(job_id: str, **values: Any) -> FallbackJob:
    """Save a row of the outbox."""
    return FallbackJob.objects.create(
        job_id=job_id,
        generation="g",
        queue_name="default",
        payload=SECRET,
        outcome=SECRET,
        due_at=NOON,
        check_at=NOON,
        created_at=NOON,
        **values,
    )


def make_outage(broker: str, **values: Any) -> Outage:
    """Save an outage that ended."""
    values = {"ended_at": NOON + timedelta(seconds=90), **values}
    return Outage.objects.create(broker=broker, started_at=NOON, cause="refused", **values)


def make_worker(name: str, **values: Any) -> WorkerHeartbeat:
    """Save a worker with a job in hand."""
    in_flight = [["job-in-hand", "token-of-the-claim"]]
    values = {"in_flight": in_flight, "started_at": NOON, **values}
    return WorkerHeartbeat.objects.create(name=name, broker="b", seen_at=NOON, **values)


def make_pause(name: str, **values: Any) -> PausedQueue:
    """Save a pause of a queue."""
    return PausedQueue.objects.create(queue_name=name, paused_at=NOON, **values)


def make_attempt(job_id: str, **values: Any) -> FailedAttempt:
    """Save an attempt that failed."""
    return FailedAttempt.objects.create(
        job_id=job_id, generation="g", number=0, ended_at=NOON, **values
    )


def make_run(reason: str, **values: Any) -> RecoveryRun:
    """Save a recovery run."""
    return RecoveryRun.objects.create(
        reason=reason, selection={"queue_name": "low"}, created_at=NOON, **values
    )


def make_item(detail: str, **values: Any) -> RunItem:
    """Save what a run did with a letter."""
    letter = make_letter(f"job of {detail}")
    return RunItem.objects.create(
        run=make_run("mended"), letter=letter, outcome="refused", detail=detail, **values
    )


def make_export(user_key: str, **values: Any) -> Export:
    """Save an export that is being made."""
    values = {"token": f"token-of-{user_key}", "job_id": f"export-{user_key}", **values}
    return Export.objects.create(
        user_key=user_key,
        datasets=["orders"],
        file_format="csv",
        requested_at=NOON,
        expires_at=NOON + timedelta(days=7),
        **values,
    )


def make_notification(title: str, **values: Any) -> Notification:
    """Save a notification that nobody has read."""
    values = {"user_key": "7", "key": title, "kind": "order", **values}
    return Notification.objects.create(title=title, message="It is on its way.", **values)


def make_delivery(reason: str, **values: Any) -> NotificationDelivery:
    """Save what became of a notification by mail."""
    values = {"state": "refused", "user_key": "7", "key": reason, "channel": "email", **values}
    return NotificationDelivery.objects.create(
        reason=reason, job_id="job", changed_at=NOON, **values
    )


def make_preference(user_key: str, **values: Any) -> NotificationPreference:
    """Save that somebody wants no mail."""
    return NotificationPreference.objects.create(
        user_key=user_key, channel="email", enabled=False, **values
    )


def make_subscription(user_key: str, **values: Any) -> PushSubscription:
    """Save a browser of somebody's."""
    return PushSubscription.objects.create(
        user_key=user_key, endpoint="https://push.example/secret", endpoint_hash=user_key, **values
    )


def make_alert(key: str, **values: Any) -> Alert:
    """Save an alert that fired."""
    values = {"rule": "backlog_late", "severity": "warning", "message": "Jobs wait.", **values}
    return Alert.objects.create(key=key, since=NOON, seen_at=NOON, fired_at=NOON, **values)


def make_silence(reason: str, **values: Any) -> AlertSilence:
    """Save a silence of a rule."""
    values = {"rule": f"rule-{reason}", "until": NOON, **values}
    return AlertSilence.objects.create(reason=reason, **values)


MAKERS: dict[type[Model], Any] = {
    Alert: make_alert,
    AlertSilence: make_silence,
    DeadLetter: make_letter,
    Export: make_export,
    FailedAttempt: make_attempt,
    FallbackJob: make_job,
    Notification: make_notification,
    NotificationDelivery: make_delivery,
    NotificationPreference: make_preference,
    Outage: make_outage,
    PausedQueue: make_pause,
    PushSubscription: make_subscription,
    RecoveryRun: make_run,
    RunItem: make_item,
    WorkerHeartbeat: make_worker,
}
