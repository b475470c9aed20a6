"""What is counted, and what of that has been written."""

from __future__ import annotations

from collections.abc import Mapping

from django_resilient_queue.facts import measures
from django_resilient_queue.meter import Key
from django_resilient_queue.stores import measures as writing


def key(kind: str, job_type: str = "tests.jobs.succeed", store: str = "redis") -> Key:
    return Key(kind, "default", job_type, store)


def write() -> None:
    writing.write(alias="default")


def counted() -> Mapping[Key, int]:
    """What is counted and written, by key."""
    write()
    return {key: sums.count for key, sums in measures().items()}
