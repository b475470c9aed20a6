"""Metrics for Prometheus, of all processes: read from the stores at each scrape, changing nothing.

Needs the extra ``metrics``; nothing of prometheus_client is imported before a page or a collector
is asked for.
"""

from __future__ import annotations

from .families import FAMILIES, Family
from .page import exposition, new_collector, page_collector

__all__ = ["FAMILIES", "Family", "exposition", "new_collector", "page_collector"]
