"""The tables: one file each. Changes of state are guarded updates on their querysets."""

from __future__ import annotations

from .alert import Alert, AlertNotice, AlertSilence
from .broker_state import BrokerState
from .correction import Correction
from .dead_letter import DeadLetter
from .export import Export
from .failed_attempt import FailedAttempt
from .fallback_job import FallbackJob
from .idempotency import IdempotentRequest
from .letter_tally import LetterTally
from .measure import Measure
from .notification import Notification
from .notification_delivery import NotificationDelivery
from .notification_preference import NotificationPreference
from .outage import Outage
from .overview import Overview
from .paused_queue import PausedQueue
from .push_subscription import PushSubscription
from .quiet_hours import QuietHours
from .recovery_run import RecoveryRun, RunItem
from .sample import Sample
from .worker_heartbeat import WorkerHeartbeat

__all__ = [
    "Alert",
    "AlertNotice",
    "AlertSilence",
    "BrokerState",
    "Correction",
    "DeadLetter",
    "Export",
    "FailedAttempt",
    "FallbackJob",
    "IdempotentRequest",
    "LetterTally",
    "Measure",
    "Notification",
    "NotificationDelivery",
    "NotificationPreference",
    "Outage",
    "Overview",
    "PausedQueue",
    "PushSubscription",
    "QuietHours",
    "RecoveryRun",
    "RunItem",
    "Sample",
    "WorkerHeartbeat",
]
