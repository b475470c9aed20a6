"""The program that decodes: started by `sandbox` with a folder, it reads the task there, and leaves
outputs and a report. It knows no settings, no storage and no database."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .desk import Desk
from .errors import FileRefused, MissingTool
from .formats import ABILITIES, CONVERSIONS, IMAGE, OFFICE, PDF, VIDEO
from .task import REPORT_NAME, SOURCE_NAME, TASK_NAME, Limits, Operation, Output, Report

_MODULES = {IMAGE: "images", VIDEO: "videos", PDF: "pdfs", OFFICE: "offices"}
_EXTRAS = {
    "PIL": "files",
    "magic": "files",
    "av": "video",
    "pypdfium2": "documents",
    "mammoth": "documents",
    "nh3": "documents",
}


def main(folder: Path) -> None:
    """Do the task, or say why not."""
    task = json.loads((folder / TASK_NAME).read_text())
    limits = Limits(**task["limits"])
    _limit(limits)
    _end_with_the_parent()
    report = _answer(folder, task["operations"], limits)
    (folder / REPORT_NAME).write_text(json.dumps(report.as_dict()))


def _limit(limits: Limits) -> None:
    # Before anything large is imported. The hard limit is later than the soft one, whose signal
    # says what happened.
    seconds = int(limits.seconds * (os.cpu_count() or 1)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.output, limits.output))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_the_parent() -> None:
    """A work horse that is killed can't end its programs; their standard input closes then."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    if os.getpgrp() == os.getpid():
        threading.Thread(target=wait, daemon=True).start()


def _answer(folder: Path, operations: list[Operation], limits: Limits) -> Report:
    try:
        return _work(folder, operations, limits)
    except FileRefused as error:
        return Report(refused=str(error))
    except MemoryError:
        return Report(refused="the file needs more memory than FILE_MEMORY allows")
    except MissingTool as error:
        return Report(missing=str(error))
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        needed = f'{error.name} is needed: pip install "django-resilient-queue[{extra}]"'
        return Report(missing=needed)


def _work(folder: Path, operations: list[Operation], limits: Limits) -> Report:
    from .contents import content_type_of, kind_of

    source = folder / SOURCE_NAME
    content_type = content_type_of(source, limits)
    kind = kind_of(content_type)
    _check(kind, content_type, operations)
    desk = Desk(folder, limits)
    details: dict[str, Any] = {}
    outputs: list[Output] = []
    if kind in _MODULES:
        module = _module(kind)
        details = module.inspect(source, content_type, limits)
        for operation in operations:
            if operation["operation"] != "analyze":
                outputs += module.perform(source, content_type, operation, desk)
    return Report(content_type=content_type, kind=kind, details=details, outputs=outputs)


def _module(kind: str) -> ModuleType:
    # Late: each needs an extra of its own.
    return import_module(f".{_MODULES[kind]}", __package__)


def _check(kind: str, content_type: str, operations: list[Operation]) -> None:
    """All before the first: nothing is done by halves."""
    for operation in operations:
        name = operation["operation"]
        if name not in ABILITIES[kind]:
            able = ", ".join(ABILITIES[kind])
            raise FileRefused(f"can't {name} content of type {content_type}; possible: {able}")
        if name == "convert" and operation["format"] not in CONVERSIONS[kind]:
            formats = ", ".join(CONVERSIONS[kind])
            wanted = operation["format"]
            raise FileRefused(f"can't convert {content_type} to {wanted}; possible: {formats}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
