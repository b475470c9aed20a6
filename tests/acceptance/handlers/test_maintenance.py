"""cache:warm and cleanup in real workers, through Redis and from the database."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import enqueue, get_job
from django_resilient_queue.job_info import JobState
from tests.acceptance.worker.stage import Stage


def test_caches_are_warmed(stage: Stage, tmp_path: Path, settings: Settings) -> None:
    folder = str(tmp_path / "cache")
    shared = {**settings.CACHES["shared"], "LOCATION": folder}
    settings.CACHES = {**settings.CACHES, "shared": shared}
    job = enqueue("cache:warm", {"loader": "postage", "all": True})
    worker = stage.worker(environment={"DRQ_TEST_CACHE": folder})
    stage.until_state(job.id, JobState.COMPLETED)
    found = get_job(job.id)
    assert found is not None
    assert found.backend == stage.mode
    assert caches["shared"].get_many(["postage:letter", "postage:lost", "postage:parcel"]) == {
        "postage:letter": 95,
        "postage:parcel": 549,
    }
    assert "cache not warmed loader=postage" in worker.output


def test_what_is_old_is_cleaned_away(stage: Stage, tmp_path: Path, settings: Settings) -> None:
    root = tmp_path / "uploads"
    root.mkdir()
    for name in ("old.part", "young.part"):
        (root / name).write_text("xx")
    os.utime(root / "old.part", (1, 1))
    now = timezone.now()
    for key, days in (("over", -1), ("open", 1)):
        Session.objects.create(pk=key, session_data="", expire_date=now + timedelta(days=days))
    files = {"root": "uploads", "patterns": ["*.part"]}
    roots = {"CLEANUP_ROOTS": {"uploads": str(root)}}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **roots}
    tasks = [{"task": "temporary_files", "options": files}, {"task": "expired_sessions"}]
    job = enqueue("cleanup", {"tasks": tasks})
    stage.worker("low", settings=roots)
    stage.until_state(job.id, JobState.COMPLETED)
    found = get_job(job.id)
    assert found is not None
    assert found.backend == stage.mode
    assert found.progress is not None
    assert found.progress.done == 2
    assert [path.name for path in root.iterdir()] == ["young.part"]
    assert [each.pk for each in Session.objects.all()] == ["open"]
