"""Huey with its Redis storage."""

from __future__ import annotations

import os

from huey import RedisHuey

from rivals import work

huey = RedisHuey("rivals", port=int(os.environ["DRQ_TEST_REDIS_PORT"]))
nothing = huey.task()(work.nothing)
mark = huey.task()(work.mark)


def fill(count: int) -> None:
    work.enqueue_between_marks(mark, nothing, count)
