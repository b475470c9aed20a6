"""Background jobs that survive a Redis outage: django-rq with a second store."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "InvalidPayload",
    "JobResult",
    "PermanentError",
    "Priority",
    "Selection",
    "__version__",
    "cache_loader",
    "cancel_export",
    "cancel_run",
    "cleanup_task",
    "discard",
    "enqueue",
    "enqueue_many",
    "exponential",
    "export_dataset",
    "fixed",
    "get_job",
    "get_queue",
    "job_handler",
    "pause_all",
    "pause_queue",
    "pause_run",
    "paused_queues",
    "progress",
    "request_export",
    "requeue",
    "restore",
    "resume_all",
    "resume_queue",
    "resume_run",
    "start_run",
]

if TYPE_CHECKING:
    from .conf import Priority
    from .exceptions import InvalidPayload, PermanentError
    from .handlers.backoff import exponential, fixed
    from .handlers.business.export.datasets import export_dataset
    from .handlers.business.export.orders import request_export
    from .handlers.business.export.publishing import cancel_export
    from .handlers.cleanups import cleanup_task
    from .handlers.maintenance.cache_warm.loaders import cache_loader
    from .handlers.performing import JobResult
    from .handlers.progress import progress
    from .handlers.registry import job_handler
    from .pauses import pause_all, pause_queue, paused_queues, resume_all, resume_queue
    from .queues import get_job, get_queue
    from .recovery.requeueing import discard, requeue, restore
    from .recovery.runs import cancel_run, pause_run, resume_run, start_run
    from .recovery.selection import Selection
    from .submission import enqueue, enqueue_many
else:
    _HOMES = {
        ".conf": ("Priority",),
        ".exceptions": ("InvalidPayload", "PermanentError"),
        ".handlers.backoff": ("exponential", "fixed"),
        ".handlers.business.export.datasets": ("export_dataset",),
        ".handlers.business.export.orders": ("request_export",),
        ".handlers.business.export.publishing": ("cancel_export",),
        ".handlers.cleanups": ("cleanup_task",),
        ".handlers.maintenance.cache_warm.loaders": ("cache_loader",),
        ".handlers.performing": ("JobResult",),
        ".handlers.progress": ("progress",),
        ".handlers.registry": ("job_handler",),
        ".pauses": ("pause_all", "pause_queue", "paused_queues", "resume_all", "resume_queue"),
        ".queues": ("get_job", "get_queue"),
        ".recovery.requeueing": ("discard", "requeue", "restore"),
        ".recovery.runs": ("cancel_run", "pause_run", "resume_run", "start_run"),
        ".recovery.selection": ("Selection",),
        ".submission": ("enqueue", "enqueue_many"),
    }

    # Django imports this package before its settings and models are ready, and queues.py needs
    # both. Hidden from type checkers, for which it would make every misspelt name valid.
    def __getattr__(name):
        """Import the public functions at their first use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = next(module for module, names in _HOMES.items() if name in names)
        return getattr(import_module(home, __name__), name)

    def __dir__():
        """List the lazy names too."""
        return sorted({*globals(), *__all__})
