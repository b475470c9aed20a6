"""How things stand with the queue: the report, and what makes it less than healthy."""

from __future__ import annotations

from .collecting import BOUND, collect, reset
from .report import HealthReport, Reason, Status

__all__ = ["BOUND", "HealthReport", "Reason", "Status", "collect", "reset"]
