"""Celery, its prefork pool."""

from __future__ import annotations

import os

from celery import Celery

from rivals import work

URL = f"redis://127.0.0.1:{os.environ['DRQ_TEST_REDIS_PORT']}/0"
app = Celery("rivals", broker=URL, backend=URL)
app.conf.worker_hijack_root_logger = False

nothing = app.task(work.nothing, name="nothing")
mark = app.task(work.mark, name="mark")


def fill(count: int) -> None:
    work.enqueue_between_marks(mark.delay, nothing.delay, count)
