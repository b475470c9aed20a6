"""Alerts: rules over the health report, and the channels over which people hear of them."""

from __future__ import annotations

from .notice import Notice
from .rules import RULES, Rule

__all__ = ["RULES", "Notice", "Rule"]
