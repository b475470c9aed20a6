"""Settings of a project with an exception handler, which django-rq reads at import only."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

RQ_EXCEPTION_HANDLERS = ["tests.jobs.note_exception"]
