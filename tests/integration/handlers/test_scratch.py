"""Folders that jobs work in: one run each, and none left of a dead one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_resilient_queue.handlers import scratch
from django_resilient_queue.handlers.business.file_process.rooms import room


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the rooms of file:process are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return scratch.shared("drq-files")


def test_a_room_goes_with_its_run_and_those_of_dead_runs_go_as_well(base: Path) -> None:
    left = base / "left"
    left.mkdir(parents=True, mode=0o700)
    base.chmod(0o700)
    (left / "source").write_text("somebody's")
    with room() as mine:
        assert not left.exists()
        with room() as other:
            assert {mine, other} == set(base.iterdir())
        assert list(base.iterdir()) == [mine]
        assert mine.stat().st_mode & 0o777 == 0o700
    assert list(base.iterdir()) == []


def test_a_place_that_others_write_to_is_refused(base: Path) -> None:
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(ImproperlyConfigured, match="TMPDIR"), room():
        pass


@pytest.mark.parametrize("moment", ["before the lock is opened", "before it is locked"])
def test_a_folder_that_is_swept_while_it_is_locked_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    swept: list[Path] = []

    def sweep() -> None:
        if not swept:
            swept.append(folder)
            shutil.rmtree(folder)

    opened, flock = os.open, fcntl.flock

    def sweep_and_open(path: Path, flags: int, *mode: int, **more: int) -> int:
        if mode:
            sweep()
        return opened(path, flags, *mode, **more)

    def sweep_and_lock(lock: int, operation: int) -> None:
        sweep()
        flock(lock, operation)

    with monkeypatch.context() as patched:
        if moment == "before it is locked":
            patched.setattr(fcntl, "flock", sweep_and_lock)
        else:
            patched.setattr(scratch.os, "open", sweep_and_open)  # type: ignore[attr-defined]
        lock = scratch.locked(folder)
    assert swept == [folder]
    assert lock is not None
    assert scratch.locked(folder) is None
    os.close(lock)
