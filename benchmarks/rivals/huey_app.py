"""Huey with its Redis storage."""

from __future__ import annotations

import os

from huey import RedisHuey

from rivals import work

huey = RedisHuey("rivals", port=int(os.environ["DRQ_TEST_REDIS_PORT"]))
nothing = huey.task()(work.nothing)
mark = huey.task()(work.mark)


def fill(count: int) -> None:
    mark()
    for _ in range(count):
        nothing()
    for _ in range(2):
        mark()
