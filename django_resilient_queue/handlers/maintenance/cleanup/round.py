"""One round of cleanup: its tasks, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from rq import get_current_job
from rq.timeouts import BaseTimeoutException

from .... import events
from ....exceptions import describe
from ...cleanups import CleanupTask, Find
from ...progress import progress
from .report import TaskReport

META_KEY = "cleanup"
Chosen = tuple[CleanupTask, Mapping[str, Any]]


class Round:
    """A validated payload at work.

    What went stands in the job's meta, so that the report of another attempt is of all of them:
    what is gone can't be counted again.
    """

    def __init__(self, chosen: Sequence[Chosen], *, limit: int, dry_run: bool) -> None:
        self.chosen, self.limit, self.dry_run = chosen, limit, dry_run
        self.reports: dict[str, dict[str, Any]] = {} if dry_run else _remembered()

    def run(self) -> dict[str, Any]:
        """Do every task. What breaks a task off is raised after the others have been done."""
        broken: Exception | None = None
        for number, (task, options) in enumerate(self.chosen):
            report = TaskReport.of(self.reports.get(str(number), {}))
            try:
                self._do(task, options, report, number)
            except BaseTimeoutException:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a task of a project raises
                events.CLEANUP_BROKEN_OFF.log(task=task.name, error=error)
                report.error = describe(error)
                broken = broken or error
            finally:
                self._tell(number, report)
        if broken is not None:
            raise broken
        return self._result()

    def _do(
        self, task: CleanupTask, options: Mapping[str, Any], report: TaskReport, number: int
    ) -> None:
        found = 0
        with closing(_generator(task, options, self.limit)) as finds:
            for find in finds:
                found += find.count
                self._take(find, report)
                self._tell(number, report)
                if found >= self.limit:
                    report.has_more = True
                    return

    def _take(self, find: Find, report: TaskReport) -> None:
        if self.dry_run:
            report.add(find.count, find.size, find.names)
            return
        try:
            gone = find.remove()
        except BaseTimeoutException:
            raise
        except Exception as error:  # noqa: BLE001 - one that stays is no reason to keep the rest
            report.fail(find.count, find.names, describe(error))
        else:
            if gone:
                report.add(gone, find.size, find.names)

    def _tell(self, number: int, report: TaskReport) -> None:
        self.reports[str(number)] = report.as_dict()
        progress(sum(each["count"] for each in self.reports.values()), 0)

    def _result(self) -> dict[str, Any]:
        tasks = [
            {"task": task.name, **self.reports[str(number)]}
            for number, (task, _options) in enumerate(self.chosen)
        ]
        total = {key: sum(each[key] for each in tasks) for key in ("count", "size", "failed")}
        return {"dry_run": self.dry_run, **total, "tasks": tasks}


def _generator(task: CleanupTask, options: Mapping[str, Any], limit: int) -> Any:
    """A generator whatever the task returned: to be closed, with the folders that it has open."""
    yield from task.function(options, limit)


def _remembered() -> dict[str, dict[str, Any]]:
    job = get_current_job()
    if job is None:
        return {}
    found: dict[str, dict[str, Any]] = job.meta.setdefault(META_KEY, {})
    return found
