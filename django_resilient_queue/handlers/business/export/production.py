"""Making the file of one export: page after page, until it is whole or nobody wants it."""

from __future__ import annotations

import hashlib
import json
import secrets
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.utils import timezone

from ....conf import settings
from ....exceptions import StoresUnavailableError
from ....job_info import JobState, find_job
from ....models import Export
from ....models.export import ExportState
from ...progress import progress
from . import publishing, spool
from .formats import Writer
from .orders import Order, Piece
from .pages import Pages
from .publishing import exports
from .spool import Checkpoint, Draft


class Unwanted(Exception):
    """The export was cancelled, or another run has taken it over."""


class Production:
    """One run of one export."""

    def __init__(self, order: Order, export: Export) -> None:
        self.order, self.export = order, export
        self.run = secrets.token_urlsafe(12)
        self._written = 0
        self._total = 0

    def make(self) -> None:
        """Make and offer the file. Raises Unwanted; leaves nothing then."""
        if not exports().take(self.export.pk, self.run):
            raise Unwanted
        self.export.refresh_from_db(using=settings.DATABASE)
        publishing.remove_file(self.export)  # of a run that died while it saved
        with spool.folder_for(self.export.token, self.run) as folder:
            try:
                files = self._files(folder)
                whole = files[0] if self.order.subject is None else self._packed(folder, files)
                self._offer(whole)
            except Unwanted:
                spool.remove(folder)
                raise
            spool.remove(folder)

    def _files(self, folder: Path) -> list[Path]:
        limit = self.order.file_format.limit()
        counts = [self.order.pages(piece).count() for piece in self.order.pieces]
        self._total = sum(count if limit is None else min(count, limit) for count in counts)
        return [
            self._file(folder, piece, count)
            for piece, count in zip(self.order.pieces, counts, strict=True)
        ]

    def _file(self, folder: Path, piece: Piece, count: int) -> Path:
        """Write the file of a piece, or what is missing of it."""
        path = folder / f"{piece.dataset.name}.{self.order.file_format.name}"
        draft = Draft(path, self.order.plan(piece))
        reached = draft.checkpoint()
        self._written += reached.rows
        if reached.is_whole:
            return path
        pages = self.order.pages(piece)
        writer = self.order.file_format.open(
            path, pages.heads, piece.dataset.name, rows=reached.rows, at=reached.size
        )
        try:
            reached = self._fill(writer, pages, draft, reached)
            writer.finish(max(count, reached.rows))
        finally:
            writer.discard()
        draft.mark(replace(reached, size=path.stat().st_size, is_whole=True))
        return path

    def _fill(self, writer: Writer, pages: Pages, draft: Draft, reached: Checkpoint) -> Checkpoint:
        """Write page after page; returns how far that went."""
        limit = self.order.file_format.limit()
        self._go_on(self._written)
        for page in pages.after(reached.last):
            room = len(page.rows) if limit is None else limit - reached.rows
            rows = page.rows[:room]
            writer.write(rows)
            size = writer.position()
            reached = replace(reached, rows=reached.rows + len(rows), last=page.last, size=size)
            if size:
                draft.mark(reached)
            self._go_on(self._written + len(rows))
            if reached.rows == limit:
                break
        return reached

    def _go_on(self, rows: int) -> None:
        """Tell how far it is. Raises Unwanted."""
        self._written = rows
        with suppress(StoresUnavailableError):
            job = find_job(self.export.job_id)
            if job is not None and job.state is JobState.CANCELLED:
                exports().end(self.export.job_id, ExportState.CANCELLED)
        if not exports().go_on(self.export.pk, self.run, rows):
            raise Unwanted
        progress(min(rows, self._total), self._total)

    def _packed(self, folder: Path, files: Sequence[Path]) -> Path:
        """Return a zip of the files, with a list of what they are."""
        path = folder / "whole.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                self._go_on(self._written)
                archive.write(file, file.name)
            archive.writestr("manifest.json", json.dumps(self._manifest(files), indent=2))
        return path

    def _manifest(self, files: Sequence[Path]) -> dict[str, Any]:
        return {
            "subject": self.export.subject_key,
            "requested_by": self.export.user_key,
            "made_at": timezone.now().isoformat(),
            "files": [
                {"name": file.name, "size": file.stat().st_size, "sha256": sha256_of(file)}
                for file in files
            ],
        }

    def _offer(self, whole: Path) -> None:
        extension = self.order.delivered_as.name
        storage, path = settings.EXPORT_STORAGE, f"exports/{secrets.token_urlsafe(32)}.{extension}"
        if not exports().name_file(self.export.pk, self.run, storage, path):
            raise Unwanted
        saved = publishing.save(storage, path, whole)
        if exports().finish(
            self.export.pk,
            self.run,
            path=saved,
            rows=self._written,
            size=whole.stat().st_size,
            sha256=sha256_of(whole),
            expires_at=publishing.expiry(),
        ):
            self.export.refresh_from_db(using=settings.DATABASE)
            return
        publishing.delete(storage, saved)
        raise Unwanted


def sha256_of(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
