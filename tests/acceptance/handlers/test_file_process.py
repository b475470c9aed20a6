"""file:process by real workers, through Redis and from the database."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from rq.job import Job

from django_resilient_queue import enqueue, get_job
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter
from tests import clamd, samples
from tests.acceptance.worker.stage import Stage
from tests.integration.handlers.files.conftest import is_running
from tests.workers import WorkerProcess

PLACES = {"default": {"read": ["uploads"], "write": "processed"}}
THUMBNAIL = {"operation": "thumbnail", "width": 32, "height": 32}
QUEUE = "critical"  # whose retries come soonest


@pytest.fixture
def stage(stage: Stage, tmp_path: Path, settings: Settings) -> Stage:
    settings.RESILIENT_QUEUE = {"FILE_STORAGES": PLACES}
    (tmp_path / "media/uploads").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    return stage


@pytest.fixture
def scanner() -> Iterator[clamd.Speaker]:
    with clamd.speaking() as server:
        yield server


def start(stage: Stage, tmp_path: Path, scanner: str) -> WorkerProcess:
    return stage.worker(
        QUEUE,
        settings={"FILE_STORAGES": PLACES, "FILE_SCANNER": scanner},
        environment={"DRQ_TEST_MEDIA": str(tmp_path / "media"), "TMPDIR": str(tmp_path / "tmp")},
    )


def upload(tmp_path: Path, **contents: bytes) -> list[str]:
    for name, content in contents.items():
        (tmp_path / "media/uploads" / name).write_bytes(content)
    return [f"uploads/{name}" for name in contents]


def submit(paths: list[str], *operations: dict[str, Any]) -> Job:
    return enqueue("file:process", {"paths": paths, "operations": operations}, queue=QUEUE)


def outcomes(job: Job) -> list[dict[str, Any]]:
    found = get_job(job.id)
    return list(found.meta.get("files", {}).values()) if found else []


def written(tmp_path: Path) -> set[str]:
    media = tmp_path / "media"
    return {
        str(path.relative_to(media)) for path in (media / "processed").rglob("*") if path.is_file()
    }


def test_files_of_all_kinds_are_processed_and_bad_ones_are_not(
    stage: Stage, tmp_path: Path, scanner: clamd.Speaker
) -> None:
    paths = upload(
        tmp_path,
        image=samples.telling_jpeg(),
        video=samples.video(),
        pdf=samples.pdf("Hello"),
        script=samples.script_behind_a_header(),
        bomb=samples.image_bomb(20_000, 20_000),
        virus=samples.EICAR,
    )
    job = submit(paths, THUMBNAIL)
    bad = submit(paths[-1:], THUMBNAIL)
    start(stage, tmp_path, scanner.address)
    stage.until_state(job.id, JobState.COMPLETED)
    found = get_job(job.id)
    assert found is not None
    assert found.backend == stage.mode
    assert found.progress is not None
    assert (found.progress.done, found.progress.total) == (6, 6)
    files = outcomes(job)
    assert [each["status"] for each in files] == ["done"] * 3 + ["failed"] * 3
    assert [each["error_class"] for each in files[3:]] == ["FileRefused", "FileRefused", "Infected"]
    assert written(tmp_path) == {each["outputs"][0]["path"] for each in files[:3]}
    # Nothing else to do in that job: a dead letter at once, and the worker goes on.
    stage.until(lambda: DeadLetter.objects.count() == 1)
    letter = DeadLetter.objects.get(job_id=bad.id)
    assert letter.error_class.endswith("Infected")
    assert letter.attempts == 1


def test_a_retry_repeats_only_what_was_not_done(
    stage: Stage, tmp_path: Path, scanner: clamd.Speaker
) -> None:
    scanner.busy_for = 1  # so that the first file has to wait
    paths = upload(tmp_path, one=samples.jpeg(64), two=samples.jpeg(65), three=samples.jpeg(66))
    job = submit(paths, THUMBNAIL)
    start(stage, tmp_path, scanner.address)
    stage.until_state(job.id, JobState.COMPLETED)
    assert [each["status"] for each in outcomes(job)] == ["done"] * 3
    assert scanner.scanned == [samples.jpeg(65), samples.jpeg(66), samples.jpeg(64)]
    assert len(written(tmp_path)) == 3


def test_a_killed_horse_leaves_no_program_and_no_second_set_of_outputs(
    stage: Stage, tmp_path: Path, scanner: clamd.Speaker
) -> None:
    paths = upload(tmp_path, image=samples.jpeg(), video=samples.video(seconds=300))
    job = submit(paths, THUMBNAIL, {"operation": "resize", "width": 48})
    worker = start(stage, tmp_path, scanner.address)
    stage.until(lambda: len(outcomes(job)) == 1)
    programs = stage.until(lambda: worker.horses[1:])
    horse = worker.horses[0]
    os.kill(horse, signal.SIGKILL)
    stage.until(lambda: not any(is_running(pid) for pid in programs))
    stage.until_state(job.id, JobState.COMPLETED)
    assert scanner.scanned == [samples.jpeg(), *[(tmp_path / "media" / paths[1]).read_bytes()] * 2]
    assert written(tmp_path) == {
        output["path"] for each in outcomes(job) for output in each["outputs"]
    }
    # Nor copies of what was uploaded, and parts of what was made.
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []
