"""What each store knows of its queues and workers: one bounded question to each, which only reads.

Pages, metrics, health and alerts are made from these; nothing here judges.
"""

from __future__ import annotations

from .database import DatabaseFacts, database_facts
from .measures import Histogram, enqueue_durations, lost_by_path, measures, performed_by_store
from .redis import RedisFacts, redis_facts
from .values import QueueCounts, WorkerFacts
from .workers import Sightings

__all__ = [
    "DatabaseFacts",
    "Histogram",
    "QueueCounts",
    "RedisFacts",
    "Sightings",
    "WorkerFacts",
    "database_facts",
    "enqueue_durations",
    "lost_by_path",
    "measures",
    "performed_by_store",
    "redis_facts",
]
