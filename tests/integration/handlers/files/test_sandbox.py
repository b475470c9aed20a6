"""Promises of the program that decodes: it costs no more than is allowed, and ends in any case."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from django_resilient_queue.handlers.business.file_process import sandbox
from django_resilient_queue.handlers.business.file_process.errors import (
    FileRefused,
    MissingTool,
    ToolFailed,
    ToolTimeout,
)
from django_resilient_queue.handlers.business.file_process.task import Limits
from tests import samples
from tests.conftest import WaitUntil

RESIZE = {"operation": "resize", "width": 2000, "height": 2000, "fit": "exact", "format": "png"}
PROGRAM = "django_resilient_queue.handlers.business.file_process.program"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").write_bytes(samples.jpeg())
    return tmp_path


@pytest.fixture
def limits() -> Limits:
    return sandbox.limits()


def preload(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the program run this before all else, as a decoder that goes wrong would."""
    place = folder / "preload"
    place.mkdir()
    (place / "sitecustomize.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])


def test_a_program_that_hangs_is_ended(
    folder: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload(folder, monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(ToolTimeout):
        sandbox.decode(folder, [RESIZE], replace(limits, seconds=0.2))


def test_memory_is_limited(folder: Path, limits: Limits) -> None:
    operation = {**RESIZE, "width": 7000, "height": 7000}
    with pytest.raises(FileRefused, match="FILE_MEMORY"):
        sandbox.decode(folder, [operation], replace(limits, memory=200 * 1024 * 1024))
    assert sandbox.decode(folder, [operation], limits).outputs


def test_an_output_is_limited(folder: Path, limits: Limits) -> None:
    (folder / "source").write_bytes(samples.encoded(samples.noise(), "PNG"))
    with pytest.raises(FileRefused, match="larger than FILE_SIZE_LIMIT"):
        sandbox.decode(folder, [RESIZE], replace(limits, output=50_000))
    small = {"operation": "convert", "format": "png"}
    (output,) = sandbox.decode(folder, [small], limits).outputs
    two = 2 * (folder / output.file).stat().st_size
    assert len(sandbox.decode(folder, [small] * 2, replace(limits, output=two)).outputs) == 2
    with pytest.raises(FileRefused, match=f"the outputs have more than {two} bytes"):
        sandbox.decode(folder, [small] * 3, replace(limits, output=two))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGXCPU])
def test_a_decoder_that_crashes_ends_only_itself(
    number: signal.Signals, folder: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload(folder, monkeypatch, f"import os; os.kill(os.getpid(), {int(number)})")
    with pytest.raises(FileRefused, match=number.name):
        sandbox.decode(folder, [RESIZE], limits)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "raise ValueError"])
def test_a_program_that_ends_without_a_word_is_tried_again(
    end: str, folder: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_PROGRAM", "broken_program")
    place = folder / "place"
    place.mkdir()
    (place / "broken_program.py").write_text(f"import os; {end}")
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    with pytest.raises(ToolFailed, match=r"was ended by SIGKILL|ended with status [13]"):
        sandbox.decode(folder, [RESIZE], limits)


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    folder: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload(folder, monkeypatch, "import sys; sys.modules['av'] = None")
    (folder / "source").write_bytes(samples.video())
    with pytest.raises(MissingTool, match=r'pip install "django-resilient-queue\[video\]"'):
        sandbox.decode(folder, [RESIZE], limits)


def test_the_program_knows_nothing_of_the_workers_environment(
    folder: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    note = folder / "note"
    code = f"import json, os; open({str(note)!r}, 'w').write(json.dumps(dict(os.environ)))"
    preload(folder, monkeypatch, code)
    sandbox.decode(folder, [{"operation": "analyze"}], limits)
    assert "DATABASE_PASSWORD" not in json.loads(note.read_text())


def test_the_program_ends_with_the_work_horse_that_started_it(
    folder: Path, limits: Limits, wait_until: WaitUntil
) -> None:
    """Killed, that can't end it; what holds its standard input is gone then."""
    (folder / "task.json").write_text(
        json.dumps({"operations": [], "limits": {**_plain(limits), "seconds": 600}})
    )
    (folder / "source").unlink()
    os.mkfifo(folder / "source")  # nobody writes to it, so the program waits
    with subprocess.Popen(
        [sys.executable, "-m", PROGRAM, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ) as program:
        assert program.stdin is not None
        wait_until(lambda: _waits(program.pid))
        program.stdin.close()
        assert program.wait(60) == -signal.SIGKILL


def _waits(pid: int) -> bool:
    """Whether it has come as far as to have the thread that watches."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1


def _plain(limits: Limits) -> dict[str, float]:
    return {name: getattr(limits, name) for name in Limits.__slots__}
