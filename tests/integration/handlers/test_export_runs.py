"""Exports that die, are cancelled, are run twice, and run out of time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import cancel_export
from django_resilient_queue.handlers.business.export import pages, production, publishing
from django_resilient_queue.handlers.business.export.handler import Superseded, note_death
from django_resilient_queue.handlers.business.export.publishing import expire_exports
from django_resilient_queue.models import DeadLetter, Export
from django_resilient_queue.signals import export_ready
from tests.integration.handlers.exports import (
    clerk,
    export,
    job_of,
    many_parcels,
    path_of,
    payload,
    spool,
)
from tests.postoffice.models import Parcel

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("folders", "redis_server"),
]
ROWS, PAGE = 25, 4


class Dead(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def ann() -> User:
    many_parcels(ROWS)
    return clerk()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", PAGE)


def at_page(monkeypatch: pytest.MonkeyPatch, number: int, act: Any) -> list[int]:
    """Acts once, after so many pages are on the disk; returns the counts that were told."""
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        told.append(done)
        if len(told) == number + 1:
            act()

    monkeypatch.setattr(production, "progress", progress)
    return told


def die() -> None:
    raise Dead


def storage_files(folders: Path) -> list[Path]:
    return [path for path in (folders / "media").rglob("*") if path.is_file()]


def codes_of(made: Export) -> list[str]:
    text = path_of(made).read_text()
    if made.file_format == "json":
        return [row["code"] for row in json.loads(text)]
    return [line.split(",")[0] for line in text.splitlines()[1:]]


ALL = [f"p{n:06}" for n in range(ROWS)]


@pytest.mark.parametrize("file_format", ["csv", "json"])
def test_a_killed_export_goes_on_where_it_was(
    ann: User, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    job = job_of(payload(ann, file_format=file_format))
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job.perform()
    told = at_page(monkeypatch, 99, die)
    made = Export.objects.get(pk=job.perform()["data"]["export"])
    assert told[:2] == [3 * PAGE, 4 * PAGE]
    assert (codes_of(made), made.rows) == (ALL, ROWS)
    assert spool() == []


@pytest.mark.parametrize("spoil", ["a torn page", "no mark", "another plan", "a short file"])
def test_what_can_not_be_relied_on_is_written_again(
    ann: User, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    job = job_of(payload(ann))
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job.perform()
    (file,) = [path for path in spool() if path.suffix == ".csv"]
    mark = file.with_name(f"{file.name}.checkpoint")
    match spoil:
        case "a torn page":
            file.write_bytes(file.read_bytes() + b"p9999,half a r" * 1000)
        case "no mark":
            mark.write_text("{")
        case "another plan":
            mark.write_text(json.dumps({**json.loads(mark.read_text()), "plan": "other"}))
        case "a short file":
            file.write_bytes(file.read_bytes()[:10])
    told = at_page(monkeypatch, 99, die)
    made = Export.objects.get(pk=job.perform()["data"]["export"])
    assert codes_of(made) == ALL
    assert told[0] == (3 * PAGE if spoil == "a torn page" else 0)


@pytest.mark.parametrize("file_format", ["xlsx", "pdf"])
def test_other_formats_begin_again(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    job = job_of(payload(ann, file_format=file_format))
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job.perform()
    assert storage_files(folders) == []
    told = at_page(monkeypatch, 99, die)
    assert job.perform()["data"]["rows"] == ROWS
    assert told[0] == 0


def test_a_zip_goes_on_with_the_file_that_was_begun(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Parcel.objects.update(owner=ann)
    job = job_of(payload(ann, subject=str(ann.pk)))
    told = at_page(monkeypatch, 11, die)  # in the second of two datasets
    with pytest.raises(Dead):
        job.perform()
    before = told[-1]
    assert before > ROWS
    told = at_page(monkeypatch, 99, die)
    assert job.perform()["data"]["rows"] == 2 * ROWS
    assert told[0] == before


def test_a_cancelled_export_stops_within_a_page_and_leaves_no_file(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = at_page(monkeypatch, 3, lambda: cancel_export("one"))
    assert job_of(payload(ann)).perform()["data"]["state"] == "cancelled"
    assert told[-1] == 3 * PAGE
    assert (storage_files(folders), spool()) == ([], [])


def test_cancelling_the_job_itself_stops_its_export(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(payload(ann))
    job.save()
    told = at_page(monkeypatch, 3, job.cancel)
    assert job.perform()["data"]["state"] == "cancelled"
    assert told[-1] == 3 * PAGE
    assert (storage_files(folders), spool()) == ([], [])


def test_one_cancelled_while_it_is_saved_leaves_no_file(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = publishing.save

    def save_and_cancel(*args: Any) -> str:
        name = save(*args)
        assert cancel_export("one")
        return name

    monkeypatch.setattr(publishing, "save", save_and_cancel)
    assert job_of(payload(ann)).perform()["data"]["state"] == "cancelled"
    assert (storage_files(folders), spool()) == ([], [])


def test_one_that_is_over_can_not_be_cancelled(ann: User) -> None:
    job_of(payload(ann)).perform()
    assert not cancel_export("one")
    assert Export.objects.get().state == "ready"


def test_a_job_that_runs_again_makes_no_second_file(ann: User, folders: Path) -> None:
    heard: list[Export] = []

    def hear(export: Export, **kwargs: object) -> None:
        heard.append(export)

    export_ready.connect(hear)
    job = job_of(payload(ann))
    first, second = job.perform(), job.perform()
    export_ready.disconnect(hear)
    assert first["data"] == second["data"]
    assert len(storage_files(folders)) == len(heard) == 1


def test_an_id_that_is_used_again_makes_another_file(ann: User, folders: Path) -> None:
    for _ in range(2):
        job_of(payload(ann)).perform()
    assert len(storage_files(folders)) == 2


def test_the_file_of_a_run_that_died_while_saving_is_replaced(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, save = job_of(payload(ann)), publishing.save

    def save_and_die(*args: Any) -> str:
        save(*args)
        raise Dead

    monkeypatch.setattr(publishing, "save", save_and_die)
    with pytest.raises(Dead):
        job.perform()
    assert len(storage_files(folders)) == 1
    monkeypatch.setattr(publishing, "save", save)
    made = Export.objects.get(pk=job.perform()["data"]["export"])
    assert storage_files(folders) == [path_of(made)]


def test_a_run_that_another_has_taken_over_leaves_everything_to_it(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(payload(ann))
    results: list[Any] = []

    def take_over() -> None:
        at_page(monkeypatch, 99, die)
        results.append(job.perform()["data"])

    at_page(monkeypatch, 3, take_over)
    # The other finished the file: this one finds it and offers nothing of its own.
    assert job.perform()["data"] == results[0]
    assert len(storage_files(folders)) == 1
    assert codes_of(Export.objects.get()) == ALL


def test_a_run_that_another_is_busy_with_fails(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at_page(monkeypatch, 3, lambda: Export.objects.update(run="another"))
    with pytest.raises(Superseded):
        job_of(payload(ann)).perform()
    assert Export.objects.get().state == "running"


def test_a_dead_job_is_a_failed_export(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job_of(payload(ann)).perform()
    assert spool() != []
    note_death(DeadLetter(job_id="one", handler="data:export"))
    assert (Export.objects.get().state, spool()) == ("failed", [])


def test_a_failed_export_runs_again_when_its_job_does(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for dead, or requeued under its own id by rq's commands and pages."""
    job = job_of(payload(ann))
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job.perform()
    note_death(DeadLetter(job_id="one", handler="data:export"))
    at_page(monkeypatch, 99, die)
    assert job.perform()["data"]["state"] == "ready"
    made = Export.objects.get()
    assert (made.ended_at is not None, codes_of(made), storage_files(folders)) == (
        True,
        ALL,
        [path_of(made)],
    )


def test_a_stopped_job_is_a_cancelled_export(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its horse was killed, and nobody told the export."""
    at_page(monkeypatch, 3, die)
    with pytest.raises(Dead):
        job_of(payload(ann)).perform()
    Export.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
    at_page(monkeypatch, 99, die)
    export(ann)
    assert Export.objects.get(job_id="one").state == "cancelled"
    assert spool() == []


def test_a_file_whose_time_is_over_goes_and_then_its_row(ann: User, folders: Path) -> None:
    made = export(ann)
    assert expire_exports() == 0
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_exports() == 1
    made.refresh_from_db()
    assert (made.state, made.path, storage_files(folders)) == ("expired", "", [])
    Export.objects.update(ended_at=timezone.now() - timedelta(days=8))
    expire_exports()
    assert not Export.objects.exists()


def test_a_file_that_its_storage_keeps_is_tried_again(
    ann: User, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(ann)
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    def refuse(*args: object) -> None:
        raise OSError("the storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "delete", refuse)
        assert expire_exports() == 0
    assert expire_exports() == 1
    assert storage_files(folders) == []


@pytest.fixture
def open_spool(folders: Path) -> Iterator[Path]:
    spool = folders / "spool"
    spool.chmod(0o777)
    yield spool
    spool.chmod(0o700)


def test_a_spool_that_others_may_write_to_is_refused(ann: User, open_spool: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="EXPORT_SPOOL"):
        export(ann)


def test_a_spool_that_is_a_link_is_refused(ann: User, folders: Path, settings: Settings) -> None:
    (folders / "link").symlink_to(folders / "spool")
    link = str(folders / "link")
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "EXPORT_SPOOL": link}
    with pytest.raises(ImproperlyConfigured, match="EXPORT_SPOOL"):
        export(ann)


def test_what_is_nobodys_in_the_spool_is_swept(ann: User, folders: Path) -> None:
    old, used = folders / "spool" / "old", folders / "spool" / "used"
    for folder in (old, used):
        folder.mkdir()
    lock = os.open(used / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for folder in (old, used):
        os.utime(folder, (0, 0))
    export(ann)
    os.close(lock)
    assert (old.exists(), used.exists()) == (False, True)
