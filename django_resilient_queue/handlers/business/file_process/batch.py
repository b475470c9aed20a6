"""The files of one job, one after the other, and what became of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from django.utils.crypto import salted_hmac
from rq import get_current_job

from .... import events
from ....exceptions import describe
from ...progress import progress
from . import places, rooms, sandbox, scanner
from .errors import FileRefused, Infected, MissingTool, NotScanned, ToolFailed
from .task import SOURCE_NAME, Operation, Output, Report

META_KEY = "files"
Outcome = dict[str, Any]
_DONE, _FAILED = "done", "failed"
_MOST_OUTPUTS = 1000  # of a job: all of them are listed in its meta and in its result
_CHUNK = 256 * 1024


class Batch:
    """A validated payload at work.

    What is done stands in the job's meta, so that another attempt, or the job that a dead letter is
    requeued as, goes on from there.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.storage: str = data["storage"]
        self.output_storage: str = data["output_storage"]
        self.paths: list[str] = data["paths"]
        self.operations: list[Operation] = [dict(each) for each in data["operations"]]
        self.folder = _folder(str(data["key"]))
        self.outcomes = _remembered()

    def run(self) -> dict[str, Any]:
        """Process every file that is not done yet; return each one's outcome.

        A file that is refused is an outcome, and FileRefused only when there is nothing else. What
        may be otherwise another time is raised after the other files have been processed.
        """
        postponed: Exception | None = None
        for number, path in enumerate(self.paths):
            if str(number) in self.outcomes:
                continue
            try:
                self.outcomes[str(number)] = self._outcome(number, path)
            except (OSError, NotScanned, ToolFailed, MissingTool) as error:
                events.FILE_NOT_PROCESSED.log(number=number, cause=describe(error))
                postponed = postponed or error
            progress(len(self.outcomes), len(self.paths))
        if postponed is not None:
            raise postponed
        return self._result()

    def _result(self) -> dict[str, Any]:
        files = [self.outcomes[str(number)] for number in range(len(self.paths))]
        failed = [each for each in files if each["status"] == _FAILED]
        if len(failed) == len(files):
            kind = Infected if failed[0]["error_class"] == Infected.__name__ else FileRefused
            raise kind(failed[0]["error"])
        return {"files": files, "done": len(files) - len(failed), "failed": len(failed)}

    def _outcome(self, number: int, path: str) -> Outcome:
        try:
            return {"path": path, "status": _DONE, **self._processed(number, path)}
        except FileRefused as error:
            known = {"error": str(error), "error_class": type(error).__name__}
            return {"path": path, "status": _FAILED, **known}

    def _processed(self, number: int, path: str) -> Outcome:
        with rooms.room() as folder:
            source = folder / SOURCE_NAME
            copied = places.copy(self.storage, path, source)
            scanner.scan(source)
            report = sandbox.decode(folder, self.operations, sandbox.limits())
            self._check_count(report)
            return {
                "content_type": report.content_type,
                "kind": report.kind,
                "bytes": copied.size,
                "sha256": copied.sha256,
                **report.details,
                "outputs": self._saved(number, path, folder, report),
            }

    def _check_count(self, report: Report) -> None:
        before = sum(len(each.get("outputs", ())) for each in self.outcomes.values())
        if before + len(report.outputs) > _MOST_OUTPUTS:
            raise FileRefused(f"more than {_MOST_OUTPUTS} outputs in one job")

    def _saved(
        self, number: int, path: str, folder: Path, report: Report
    ) -> list[Mapping[str, Any]]:
        """Save all outputs or none."""
        saved: list[str] = []
        described: list[Mapping[str, Any]] = []
        try:
            for count, output in enumerate(report.outputs, 1):
                file = folder / PurePosixPath(output.file).name
                name = f"{number}/{_stem(path)}-{output.operation}-{count}{file.suffix}"
                described.append(_described(file, output))
                saved.append(places.put(self.output_storage, self.folder, name, file))
        except BaseException:
            places.remove(self.output_storage, saved)
            raise
        return [{"path": name, **each} for name, each in zip(saved, described, strict=True)]


def _remembered() -> dict[str, Outcome]:
    """Return the job's own record of outcomes, by number of the file."""
    job = get_current_job()
    if job is None:
        return {}
    found: dict[str, Outcome] = job.meta.setdefault(META_KEY, {})
    return found


def _folder(key: str) -> str:
    # A file's name may be known to others; it is not to tell them the key, which makes such names.
    return salted_hmac("django_resilient_queue.files", key, algorithm="sha256").hexdigest()[:32]


def _stem(path: str) -> str:
    """Return a word to recognise the original by."""
    stem = PurePosixPath(path).stem.encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40] or "file"


def _described(file: Path, output: Output) -> Mapping[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return {
        "operation": output.operation,
        "content_type": output.content_type,
        "bytes": file.stat().st_size,
        "sha256": digest.hexdigest(),
        **output.details,
    }
