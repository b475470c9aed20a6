"""Dramatiq with its Redis broker."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from rivals import work

dramatiq.set_broker(RedisBroker(url=f"redis://127.0.0.1:{os.environ['DRQ_TEST_REDIS_PORT']}/0"))
nothing = dramatiq.actor(work.nothing)
mark = dramatiq.actor(work.mark)


def fill(count: int) -> None:
    work.enqueue_between_marks(mark.send, nothing.send, count)
