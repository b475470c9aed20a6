"""The tables in Django's admin: lists to look at, and operations on their rows."""

from __future__ import annotations

from .alert import AlertAdmin, AlertSilenceAdmin
from .dead_letter import DeadLetterAdmin
from .export import ExportAdmin
from .failed_attempt import FailedAttemptAdmin
from .fallback_job import FallbackJobAdmin
from .notification import (
    NotificationAdmin,
    NotificationDeliveryAdmin,
    NotificationPreferenceAdmin,
    PushSubscriptionAdmin,
)
from .outage import OutageAdmin
from .overview import OverviewAdmin
from .paused_queue import PausedQueueAdmin
from .recovery_run import RecoveryRunAdmin
from .run_item import RunItemAdmin
from .worker_heartbeat import WorkerHeartbeatAdmin

__all__ = [
    "AlertAdmin",
    "AlertSilenceAdmin",
    "DeadLetterAdmin",
    "ExportAdmin",
    "FailedAttemptAdmin",
    "FallbackJobAdmin",
    "NotificationAdmin",
    "NotificationDeliveryAdmin",
    "NotificationPreferenceAdmin",
    "OutageAdmin",
    "OverviewAdmin",
    "PausedQueueAdmin",
    "PushSubscriptionAdmin",
    "RecoveryRunAdmin",
    "RunItemAdmin",
    "WorkerHeartbeatAdmin",
]
