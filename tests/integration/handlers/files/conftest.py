"""A storage in the test's own folder, of which one folder may be read and one be written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_resilient_queue.handlers.registry import registry

Process = Callable[..., dict[str, Any]]
PLACES = {"default": {"read": ["uploads"], "write": "processed"}}


class Files:
    """The storage's folder: what a test uploads, and what came of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "uploads").mkdir(parents=True)

    def upload(self, name: str, content: bytes) -> str:
        (self.root / "uploads" / name).write_bytes(content)
        return f"uploads/{name}"

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    @property
    def written(self) -> list[str]:
        found = (self.root / "processed").rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())


def is_running(pid: int) -> bool:
    """Whether it is more than an entry that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def files(tmp_path: Path, settings: Settings) -> Files:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "media")},
        },
    }
    settings.RESILIENT_QUEUE = {"FILE_STORAGES": PLACES}
    return Files(tmp_path / "media")


@pytest.fixture
def process(files: Files) -> Process:
    """Performs one job: a path or several, and the operations, each a dict."""

    def perform(paths: str | list[str], *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
        handler = registry.get("file:process")
        each = [paths] if isinstance(paths, str) else paths
        given = {"paths": each, "operations": list(operations), **more}
        result: dict[str, Any] = handler.function(handler.validated(handler.payload(given)))
        return result

    return perform


@pytest.fixture
def allow(settings: Settings) -> Callable[..., None]:
    """Changes settings of this package, and leaves those of `files`."""

    def change(**values: object) -> None:
        settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **values}

    return change
