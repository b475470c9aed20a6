"""Promises of where file:process reads and writes, and where not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from pytest_django import Settings

from django_resilient_queue import InvalidPayload
from django_resilient_queue.handlers.business.file_process.errors import FileRefused
from tests import samples
from tests.integration.handlers.files.conftest import Files, Process

ANALYZE = {"operation": "analyze"}
THUMBNAIL = {"operation": "thumbnail"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../secret", "Neither '..'"),
        ("uploads/../../secret", "Neither '..'"),
        ("uploads/./a", "nor '.'"),
        ("uploads//a", "empty part"),
        ("uploads/", "empty part"),
        ("/etc/passwd", "not absolute"),
        ("C:/secret", "not absolute"),
        ("uploads\\..\\..\\secret", "backslashes"),
        ("uploads/a\x00.jpg", "Null characters"),
        ("uploads/a\nb", "control characters"),
        ("elsewhere/a.jpg", "In no folder"),
        ("uploads-of-others/a.jpg", "In no folder"),
        ("uploads", "In no folder"),
        ("uploads/" + "a" * 500, "no more than 500 characters"),
    ],
)
def test_a_path_that_leads_elsewhere_is_a_field_error(
    path: str, words: str, process: Process
) -> None:
    with pytest.raises(InvalidPayload) as caught:
        process(["uploads/a.jpg", path], ANALYZE)
    assert words in str(
        caught.value.errors["paths"][1 if 1 in caught.value.errors["paths"] else "1"]
    )


@pytest.mark.parametrize("secret", ["secret.jpg", "uploads-of-others/secret.jpg"])
def test_a_link_that_leads_out_of_the_folder_is_refused(
    secret: str, files: Files, process: Process
) -> None:
    target = files.root / secret
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(samples.jpeg())
    (files.root / "uploads/link.jpg").symlink_to(target)
    (files.root / "uploads/folder").symlink_to(target.parent)
    for path in ("uploads/link.jpg", f"uploads/folder/{target.name}"):
        with pytest.raises(FileRefused, match="by a symbolic link"):
            process(path, ANALYZE)


def test_a_link_within_the_folder_is_followed(files: Files, process: Process) -> None:
    files.upload("a.jpg", samples.jpeg())
    (files.root / "uploads/link.jpg").symlink_to("a.jpg")
    assert process("uploads/link.jpg", ANALYZE)["done"] == 1


def test_outputs_are_not_written_through_a_link(
    files: Files, process: Process, tmp_path: Path
) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    written = process(path, THUMBNAIL, key="6f9619ff-8b86-4d11-b42d-00c04fc964ff")
    folder = (files.root / written["files"][0]["outputs"][0]["path"]).parent
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(FileRefused, match="by a symbolic link"):
        process(path, THUMBNAIL, key="6f9619ff-8b86-4d11-b42d-00c04fc964ff")


def test_a_pipe_is_no_file(files: Files, process: Process) -> None:
    """It would block the worker until somebody writes to it."""
    os.mkfifo(files.root / "uploads/pipe")
    with pytest.raises(FileRefused, match="not a regular file"):
        process("uploads/pipe", ANALYZE)


def test_a_file_that_is_not_there_is_refused(files: Files, process: Process) -> None:
    for path in ("uploads/none.jpg", "uploads/none/none.jpg"):
        with pytest.raises(FileRefused, match="no such file"):
            process(path, ANALYZE)
    (files.root / "uploads/folder").mkdir()
    with pytest.raises(FileRefused, match="not a regular file"):
        process("uploads/folder", ANALYZE)


@pytest.mark.parametrize("path", ["uploads/a.jpg/b", "uploads/loop", f"uploads/{'a' * 300}"])
def test_a_path_that_can_lead_to_no_file_leaves_the_others(
    path: str, files: Files, process: Process
) -> None:
    """It is wrong for ever: no attempt is made again for it."""
    good = files.upload("a.jpg", samples.jpeg())
    (files.root / "uploads/loop").symlink_to("loop")
    result = process([good, path], ANALYZE)
    assert [each["status"] for each in result["files"]] == ["done", "failed"]
    assert result["files"][1]["error"] == "no such file"


def test_a_file_that_is_too_large_is_refused(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_SIZE_LIMIT=2000)
    assert process(files.upload("a", b"x" * 2000), ANALYZE)["done"] == 1
    with pytest.raises(FileRefused, match="more than 2000 bytes"):
        process(files.upload("b", b"x" * 2001), ANALYZE)


def test_no_storage_is_allowed_until_one_is_named(
    process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_STORAGES={})
    with pytest.raises(InvalidPayload) as caught:
        process("uploads/a.jpg", ANALYZE)
    assert list(caught.value.errors) == ["storage"]


def test_a_storage_without_a_folder_for_outputs_is_only_read(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_STORAGES={"default": {"read": [""]}})
    (files.root / "a.jpg").write_bytes(samples.jpeg())
    assert process("a.jpg", ANALYZE)["done"] == 1
    with pytest.raises(InvalidPayload) as caught:
        process("a.jpg", THUMBNAIL)
    assert list(caught.value.errors) == ["output_storage"]


def test_a_folder_that_is_allowed_no_more_is_not_read(
    files: Files, allow: Callable[..., None]
) -> None:
    """The settings may change between a job's enqueue and its turn."""
    from django_resilient_queue.handlers.business.file_process.places import copy, put

    files.upload("a.jpg", b"x")
    allow(FILE_STORAGES={"default": {"read": ["others"]}})
    with pytest.raises(FileRefused, match="allows to be read"):
        copy("default", "uploads/a.jpg", files.root / "copy")
    with pytest.raises(FileRefused, match="allows to be written"):
        put("default", "x", "y", files.root / "uploads/a.jpg")


def test_the_original_is_not_touched(files: Files, process: Process) -> None:
    content = samples.telling_jpeg()
    path = files.upload("a.jpg", content)
    before = (files.root / path).stat()
    process(path, THUMBNAIL, {"operation": "compress"})
    after = (files.root / path).stat()
    assert files.read(path) == content
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_outputs_have_names_that_nobody_guesses(files: Files, process: Process) -> None:
    path = files.upload("My Ünsafe <name>.jpg", samples.jpeg())
    names = {process(path, THUMBNAIL)["files"][0]["outputs"][0]["path"] for _ in range(2)}
    assert sorted(names) == files.written
    folders = {name.split("/")[1] for name in names}
    assert [len(folder) for folder in folders] == [32, 32]
    assert {name.split("/", 2)[2] for name in names} == {"0/My-nsafe-name-thumbnail-1.jpg"}


def test_the_same_job_again_replaces_its_outputs(files: Files, process: Process) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    key = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
    first, second = (process(path, THUMBNAIL, key=key) for _ in range(2))
    assert first == second
    assert len(files.written) == 1
    assert key.partition("-")[0] not in files.written[0]


class Faltering(FileSystemStorage):
    """Takes one file, and then no other."""

    taken = 0

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        if Faltering.taken:
            raise ConnectionError("on purpose")
        Faltering.taken += 1
        return super().save(name, content, max_length)


def test_no_output_is_left_of_a_file_that_is_not_done(
    files: Files, process: Process, settings: Settings
) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": f"{__name__}.Faltering",
            "OPTIONS": {"location": str(files.root)},
        },
    }
    Faltering.taken = 0
    with pytest.raises(ConnectionError):
        process(path, THUMBNAIL, {"operation": "compress"})
    assert Faltering.taken == 1
    assert files.written == []


class Remote(Storage):
    """No folder of this machine, as an object store."""

    files: dict[str, bytes]

    def _open(self, name: str, mode: str = "rb") -> ContentFile[bytes]:
        try:
            return ContentFile(REMOTE[name])
        except KeyError:
            raise FileNotFoundError(name) from None

    def _save(self, name: str, content: Any) -> str:
        REMOTE[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in REMOTE

    def delete(self, name: str) -> None:
        REMOTE.pop(name, None)


REMOTE: dict[str, bytes] = {}


def test_a_storage_need_not_be_a_folder(process: Process, settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.Remote"}}
    REMOTE.clear()
    REMOTE["uploads/a.jpg"] = samples.jpeg()
    (file,) = process("uploads/a.jpg", THUMBNAIL)["files"]
    assert REMOTE[file["outputs"][0]["path"]].startswith(b"\xff\xd8")
    with pytest.raises(FileRefused, match="no such file"):
        process("uploads/b.jpg", THUMBNAIL)
