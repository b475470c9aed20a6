"""The overview page of the admin."""

from __future__ import annotations

from .pages import OverviewAdmin

__all__ = ["OverviewAdmin"]
