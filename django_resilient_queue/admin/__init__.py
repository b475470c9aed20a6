"""The tables in Django's admin: plain lists to look at. Nothing is changed here."""

from __future__ import annotations

from .alert import AlertAdmin, AlertSilenceAdmin
from .dead_letter import DeadLetterAdmin
from .failed_attempt import FailedAttemptAdmin
from .fallback_job import FallbackJobAdmin
from .outage import OutageAdmin
from .paused_queue import PausedQueueAdmin
from .recovery_run import RecoveryRunAdmin, RunItemAdmin
from .worker_heartbeat import WorkerHeartbeatAdmin

__all__ = [
    "AlertAdmin",
    "AlertSilenceAdmin",
    "DeadLetterAdmin",
    "FailedAttemptAdmin",
    "FallbackJobAdmin",
    "OutageAdmin",
    "PausedQueueAdmin",
    "RecoveryRunAdmin",
    "RunItemAdmin",
    "WorkerHeartbeatAdmin",
]
