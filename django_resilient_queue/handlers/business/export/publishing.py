"""Files of exports in the project's storage: saved, and removed when their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from django.core.files import File
from django.core.files.storage import storages
from django.utils import timezone

from .... import events
from ....conf import settings
from ....exceptions import StoresUnavailableError
from ....job_info import JobState, find_job
from ....models import Export
from ....models.export import ExportQuerySet, ExportState
from . import spool

BATCH = 200
_SILENCE = timedelta(minutes=5)  # after which the job of a running export is looked for


def exports() -> ExportQuerySet:
    """The table."""
    return Export.objects.using(settings.DATABASE)


def expiry() -> datetime:
    """Return until when a file is kept that is made now."""
    return timezone.now() + timedelta(days=settings.EXPORT_DAYS)


def cancel_export(job_id: str) -> bool:
    """Stop an export within a page, in whichever store its job is; False when it does not run."""
    return exports().end(job_id, ExportState.CANCELLED)


def save(storage: str, path: str, file: Path) -> str:
    """Copy a file to a storage; returns its name there. Raises what the storage raises."""
    with file.open("rb") as opened:
        return storages[storage].save(path, File(opened))


def delete(storage: str, path: str) -> None:
    """Remove a file from a storage. Raises what the storage raises, except that it is not there."""
    storages[storage].delete(path)


def remove_file(export: Export) -> None:
    """Remove what an export has in its storage."""
    if export.path:
        delete(export.storage, export.path)
        exports().filter(pk=export.pk, path=export.path).update(path="")


def expire_exports(limit: int = BATCH) -> int:
    """Remove files whose time is over, or that were cancelled, at most *limit*; returns how many.
    One that its storage does not let go of is tried again at the next call. A row without a file
    is kept as long again."""
    now = timezone.now()
    for export in exports().overdue(now).order_by("pk")[:limit]:
        exports().expire(export.pk, now)
    removed = 0
    for export in exports().with_useless_file().order_by("pk")[:limit]:
        try:
            remove_file(export)
        except Exception as error:  # noqa: BLE001 - whatever a storage raises
            events.EXPORT_NOT_REMOVED.log(pk=export.pk, cause=type(error).__name__)
        else:
            removed += 1
    keep = timedelta(days=settings.EXPORT_DAYS)
    over = exports().forgettable(now, keep).order_by("pk").values_list("pk", flat=True)[:limit]
    exports().filter(pk__in=list(over)).delete()
    return removed


def bury_the_silent(limit: int = BATCH) -> None:
    """End exports whose job is over though nobody has said so: it was stopped in mid-run, or its
    worker could not tell."""
    for export in exports().silent_since(timezone.now() - _SILENCE).order_by("pk")[:limit]:
        try:
            job = find_job(export.job_id)
        except StoresUnavailableError:
            return
        if job is None or job.state is JobState.CANCELLED:
            exports().end(export.job_id, ExportState.CANCELLED)
        elif job.state in (JobState.DEAD, JobState.FAILED):
            exports().end(export.job_id, ExportState.FAILED)
        else:
            continue
        spool.remove_of(export.token)
