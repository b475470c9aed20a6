"""Promises of file:process about several files, one of which may be a bad one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rq.job import Job

from django_resilient_queue.handlers.business.file_process import batch
from django_resilient_queue.handlers.business.file_process.errors import FileRefused, NotScanned
from tests import clamd, samples
from tests.integration.handlers.files.conftest import Files, Process

THUMBNAIL = {"operation": "thumbnail"}


class Record(Job):
    """What stands in for the job at work: its meta, kept as a store would."""

    def __init__(self) -> None:
        self.meta: dict[Any, Any] = {}
        self.saved = 0

    def save_meta(self) -> None:
        self.saved += 1


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Record:
    record = Record()
    monkeypatch.setattr(batch, "get_current_job", lambda: record)
    return record


def test_each_file_has_its_outcome(files: Files, process: Process) -> None:
    paths = [
        files.upload("a.jpg", samples.jpeg()),
        files.upload("b.jpg", samples.script_behind_a_header()),
        files.upload("c.mp4", samples.video()),
        "uploads/none.jpg",
    ]
    result = process(paths, THUMBNAIL)
    assert (result["done"], result["failed"]) == (2, 2)
    assert [each["path"] for each in result["files"]] == paths
    assert [each["status"] for each in result["files"]] == ["done", "failed", "done", "failed"]
    assert result["files"][1]["error"] == "the image can't be decoded (OSError)"
    assert result["files"][3]["error"] == "no such file"
    made = [out["path"] for each in result["files"] for out in each.get("outputs", [])]
    assert sorted(made) == files.written


def test_no_file_done_is_a_job_that_failed_for_good(files: Files, process: Process) -> None:
    with pytest.raises(FileRefused, match="no such file"):
        process(["uploads/a.jpg", "uploads/b.jpg"], THUMBNAIL)


def test_a_retry_repeats_only_what_was_not_done(
    files: Files, process: Process, job: Record, allow: Callable[..., None]
) -> None:
    paths = [files.upload(f"{n}.jpg", samples.jpeg(64 + n)) for n in range(3)]
    key = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
    with clamd.speaking() as server:
        allow(FILE_SCANNER=server.address)
        process(paths[:1], THUMBNAIL, key=key)
        assert len(server.scanned) == 1
    with pytest.raises(NotScanned):  # nobody is there any more
        process(paths, THUMBNAIL, key=key)
    assert list(job.meta["files"]) == ["0"]
    with clamd.speaking() as server:
        allow(FILE_SCANNER=server.address)
        result = process(paths, THUMBNAIL, key=key)
        assert server.scanned == [samples.jpeg(65), samples.jpeg(66)]
    assert result["done"] == 3
    assert len(files.written) == 3


def test_a_file_that_must_wait_does_not_keep_the_others_waiting(
    files: Files, process: Process, job: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [files.upload(f"{n}.jpg", samples.jpeg()) for n in range(3)]
    processed = batch.Batch._processed

    def fail_at_first(self: batch.Batch, number: int, path: str) -> dict[str, Any]:
        if number == 0:
            raise ConnectionError("on purpose")
        return processed(self, number, path)

    monkeypatch.setattr(batch.Batch, "_processed", fail_at_first)
    with pytest.raises(ConnectionError):
        process(paths, THUMBNAIL)
    assert sorted(job.meta["files"]) == ["1", "2"]


def test_outputs_of_one_job_are_limited(
    files: Files, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MOST_OUTPUTS", 3)
    paths = [files.upload(f"{n}.jpg", samples.jpeg()) for n in range(2)]
    result = process(paths, THUMBNAIL, THUMBNAIL)
    assert [each["status"] for each in result["files"]] == ["done", "failed"]
    assert result["files"][1]["error"] == "more than 3 outputs in one job"
    assert len(files.written) == 2
