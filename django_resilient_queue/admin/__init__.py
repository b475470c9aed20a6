"""The tables in Django's admin: plain lists to look at. Nothing is changed here."""

from __future__ import annotations

from .dead_letter import DeadLetterAdmin
from .fallback_job import FallbackJobAdmin
from .outage import OutageAdmin
from .paused_queue import PausedQueueAdmin
from .worker_heartbeat import WorkerHeartbeatAdmin

__all__ = [
    "DeadLetterAdmin",
    "FallbackJobAdmin",
    "OutageAdmin",
    "PausedQueueAdmin",
    "WorkerHeartbeatAdmin",
]
