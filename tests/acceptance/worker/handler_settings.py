"""Settings of a project with exception handlers, which django-rq reads at import only."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

RQ_EXCEPTION_HANDLERS = json.loads(
    os.environ.get("DRQ_TEST_HANDLERS", '["tests.jobs.note_exception"]')
)
