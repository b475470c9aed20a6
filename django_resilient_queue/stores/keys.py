"""The names of keys in Redis: rq's, and those of this package."""

from __future__ import annotations

from dataclasses import dataclass

from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job
from rq.queue import Queue


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the keys, which custom job and queue classes of a project may change."""

    job_prefix: str = Job.redis_job_namespace_prefix
    queue_prefix: str = Queue.redis_queue_namespace_prefix

    @property
    def head(self) -> tuple[str, str, str]:
        """The first arguments of every script."""
        return RQ_KEY_PREFIX, self.job_prefix, self.queue_prefix


def our_key(name: str) -> str:
    """Name a key of this package: ``drq:<name>`` for rq's default prefix."""
    return f"d{RQ_KEY_PREFIX}:{name}"
