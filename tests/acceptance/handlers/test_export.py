"""data:export by real workers, through Redis and from the database."""

from __future__ import annotations

import csv
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from pytest_django import Settings
from rq.command import send_stop_job_command

from django_resilient_queue import cancel_export, get_job, request_export
from django_resilient_queue.handlers.business.export.publishing import bury_the_silent
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import Export
from tests.acceptance.worker.stage import Stage, in_redis
from tests.postoffice.models import Parcel
from tests.workers import WorkerProcess

ROWS = 1250  # three pages


@pytest.fixture
def stage(stage: Stage, tmp_path: Path, settings: Settings) -> Stage:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return stage


@pytest.fixture
def ann(stage: Stage) -> User:
    """May export parcels."""
    Parcel.objects.bulk_create([Parcel(code=f"p{n:06}", pieces=n) for n in range(ROWS)])
    user = User.objects.create_user("ann", "ann@example.com")
    user.user_permissions.add(Permission.objects.get(codename="view_parcel"))
    return user


def start(stage: Stage, tmp_path: Path) -> WorkerProcess:
    media, spool = str(tmp_path / "media"), str(tmp_path / "spool")
    return stage.worker(environment={"DRQ_TEST_MEDIA": media}, settings={"EXPORT_SPOOL": spool})


def files(tmp_path: Path, folder: str) -> list[Path]:
    return [path for path in (tmp_path / folder).rglob("*") if path.is_file()]


def watch(stage: Stage) -> dict[str, Any]:
    """Filters with which the second page waits for the gate."""
    return {"ledger": stage.path, "gate": stage.gate()}


def test_a_file_is_made(stage: Stage, ann: User, tmp_path: Path) -> None:
    job = request_export(ann, "parcels", columns=["code", "pieces"])
    start(stage, tmp_path)
    stage.until_state(job.id, JobState.COMPLETED)
    found = get_job(job.id)
    assert found is not None
    assert found.backend == stage.mode
    assert found.progress is not None
    assert (found.progress.done, found.progress.total) == (ROWS, ROWS)
    made = Export.objects.get(job_id=job.id)
    (file,) = files(tmp_path, "media")
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows == [["code", "pieces"], *([f"p{n:06}", str(n)] for n in range(ROWS))]
    assert (made.state, made.rows, made.size) == ("ready", ROWS, file.stat().st_size)


def test_an_export_whose_horse_is_killed_goes_on_where_it_was(
    stage: Stage, ann: User, tmp_path: Path
) -> None:
    job = request_export(ann, "watched", filters=watch(stage))
    worker = start(stage, tmp_path)
    stage.until_lines("fetch", "begin released")
    assert files(tmp_path, "media") == []
    (horse,) = worker.horses
    os.kill(horse, signal.SIGKILL)
    stage.until(lambda: worker.horses not in ([], [horse]))
    stage.open(stage.gate())
    stage.until_state(job.id, JobState.COMPLETED)
    # Two pages were left: the first was not asked for again.
    assert stage.lines == [
        "fetch",
        "begin released",
        "fetch",
        "begin released",
        "released",
        "fetch",
    ]
    (file,) = files(tmp_path, "media")
    assert [line.split(",")[0] for line in file.read_text().splitlines()[1:]] == [
        f"p{n:06}" for n in range(ROWS)
    ]
    assert files(tmp_path, "spool") == []


@in_redis
def test_an_export_whose_job_is_stopped_is_soon_known_to_be_over(
    stage: Stage, ann: User, tmp_path: Path, settings: Settings
) -> None:
    job = request_export(ann, "watched", filters=watch(stage))
    start(stage, tmp_path)
    stage.until_lines("fetch", "begin released")
    send_stop_job_command(job.connection, job.id)
    stage.until_state(job.id, JobState.CANCELLED)
    settings.RESILIENT_QUEUE = {
        **settings.RESILIENT_QUEUE,
        "EXPORT_SPOOL": str(tmp_path / "spool"),
    }
    bury_the_silent()
    assert Export.objects.get().state == "running"  # it may only be slow
    Export.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
    bury_the_silent()
    assert Export.objects.get().state == "cancelled"
    assert (files(tmp_path, "media"), files(tmp_path, "spool")) == ([], [])


def test_an_export_that_is_cancelled_stops_and_leaves_no_file(
    stage: Stage, ann: User, tmp_path: Path
) -> None:
    job = request_export(ann, "watched", filters=watch(stage))
    start(stage, tmp_path)
    stage.until_lines("fetch", "begin released")
    assert cancel_export(job.id)
    stage.open(stage.gate())
    stage.until_state(job.id, JobState.COMPLETED)
    assert stage.lines == ["fetch", "begin released", "released", "fetch"]
    assert (files(tmp_path, "media"), files(tmp_path, "spool")) == ([], [])
    assert Export.objects.get().state == "cancelled"
