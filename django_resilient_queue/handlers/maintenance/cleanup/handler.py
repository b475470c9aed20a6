"""The job type cleanup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....conf import Priority
from ...registry import job_handler
from .round import Round
from .schemas import Cleanup

_HOUR = 3600


@job_handler("cleanup", schema=Cleanup, priority=Priority.LOW, timeout=_HOUR)
def clean_up(data: Mapping[str, Any]) -> dict[str, Any]:
    """Do each task, or say what it would do; return a report of each, and ``count``, ``size`` in
    bytes and ``failed`` of all."""
    chosen = [(each["task"], each["options"]) for each in data["tasks"]]
    return Round(chosen, limit=data["limit"], dry_run=data["dry_run"]).run()
