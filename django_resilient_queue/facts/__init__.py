"""What each store knows of its queues and workers: one bounded question to each, which only reads.

Pages, metrics, health and alerts are made from these; nothing here judges.
"""

from __future__ import annotations

from .database import DatabaseFacts, database_facts
from .redis import RedisFacts, redis_facts
from .values import QueueCounts, WorkerFacts
from .workers import Sightings

__all__ = [
    "DatabaseFacts",
    "QueueCounts",
    "RedisFacts",
    "Sightings",
    "WorkerFacts",
    "database_facts",
    "redis_facts",
]
