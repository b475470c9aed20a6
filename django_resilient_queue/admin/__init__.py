"""The tables in Django's admin: lists to look at, and operations on their rows.

Each table has a module that is called as it: its list, its page, and what can be done to a row.
That of letters and the overview, which has no table, are made of a package each. All stand on:

- ``read_only`` is what lists and pages have in common, with ``row_list`` (what a list is asked),
  ``paginator`` (how far it counts), ``ended`` (a filter) and ``absence`` (without the database);
- ``operation`` is what is done to a row: who may, and asked how; ``record`` has it logged and told;
- ``frame`` and ``addresses`` are what is around a page, and where it is;
- ``amounts``, ``causes`` and ``columns`` are words and cells; ``run_story`` tells a recovery run;
- ``order`` is that of the tables on the first page.
"""

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
