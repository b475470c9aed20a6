"""The worker of `manage.py rqworker`: executes jobs from either store."""

from __future__ import annotations

from .worker import ResilientWorker

__all__ = ["ResilientWorker"]
