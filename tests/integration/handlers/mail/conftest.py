"""A mail server, and attempts at a job without a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from example_project.servers import RedisServer
from tests.mailserver import MailServer, running

Attempt = Callable[..., dict[str, Any]]


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    with running() as server:
        settings.RESILIENT_QUEUE = {"MAIL_BACKENDS": server.backend()}
        settings.DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
        yield server


@pytest.fixture
def attempt(transactional_db: None, redis_server: RedisServer) -> Attempt:
    """Attempts a job of email:send, as a worker does: the same once more when it is given again."""
    from django_resilient_queue import enqueue, get_queue

    def perform(payload: dict[str, Any] | None = None, *, job_id: str = "mail") -> dict[str, Any]:
        if payload is not None:
            enqueue("email:send", payload, job_id=job_id)
        job = get_queue("high").fetch_job(job_id)
        assert job is not None
        found: dict[str, Any] = job.perform()["data"]
        return found

    return perform


@pytest.fixture
def templates(settings: Settings, tmp_path: Path) -> Path:
    """The folder of mail templates."""
    folder = tmp_path / "templates" / "mail"
    folder.mkdir(parents=True)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(folder.parent)]}]
    return folder


@pytest.fixture
def files(settings: Settings, tmp_path: Path) -> Path:
    """The folder of the default storage, of which jobs may attach what is in `out`."""
    folder = tmp_path / "media"
    (folder / "out").mkdir(parents=True)
    (folder / "private").mkdir()
    settings.MEDIA_ROOT = str(folder)
    known = settings.RESILIENT_QUEUE
    settings.RESILIENT_QUEUE = {**known, "MAIL_STORAGES": {"default": ["out"]}}
    return folder
