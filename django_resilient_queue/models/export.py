"""Files that were made for users: how far each is, where it lies, and until when."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField

_TOKEN_BYTES = 32


def _new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


class ExportState(models.TextChoices):
    """Where an export stands."""

    RUNNING = "running", _("running")  # waits for its next attempt as well
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class ExportQuerySet(models.QuerySet["Export"]):
    """Guarded changes, which say whether they won."""

    def begin(self, job_id: str, requested_at: datetime, values: dict[str, Any]) -> Export:
        """Return the row of one enqueue of a job id, made at its first attempt. One that failed
        runs again: its job was taken for dead too early, or requeued under its own id."""
        found, created = self.get_or_create(
            job_id=job_id, requested_at=requested_at, defaults={"token": _new_token(), **values}
        )
        if not created and self._reopen(found.pk, values["expires_at"]):
            found.refresh_from_db()
        return found

    def _reopen(self, pk: int, expires_at: datetime) -> bool:
        failed = self.filter(pk=pk, state=ExportState.FAILED)
        again = {"state": ExportState.RUNNING, "seen_at": timezone.now(), "ended_at": None}
        return failed.update(**again, expires_at=expires_at) == 1

    def running(self, pk: int, run: str) -> ExportQuerySet:
        """The export, as long as this run has it: nobody cancelled it or took it over."""
        return self.filter(pk=pk, run=run, state=ExportState.RUNNING)

    def take(self, pk: int, run: str) -> bool:
        """Give a running export to a new run; the one before loses it."""
        mine = self.filter(pk=pk, state=ExportState.RUNNING)
        return mine.update(run=run, seen_at=timezone.now()) == 1

    def go_on(self, pk: int, run: str, rows: int) -> bool:
        """Note how many rows are written."""
        return self.running(pk, run).update(rows=rows, seen_at=timezone.now()) == 1

    def name_file(self, pk: int, run: str, storage: str, path: str) -> bool:
        """Note where the file will be, before it is: so that it is found if the run dies."""
        return self.running(pk, run).update(storage=storage, path=path) == 1

    def finish(self, pk: int, run: str, **file: Any) -> bool:
        """Offer the file: path, rows, size, sha256, expires_at."""
        values = {**file, "state": ExportState.READY, "ended_at": timezone.now()}
        return self.running(pk, run).update(**values) == 1

    def end(self, job_id: str, state: ExportState) -> bool:
        """Cancel what runs under a job id, or say that it failed."""
        mine = self.filter(job_id=job_id, state=ExportState.RUNNING)
        return mine.update(state=state, ended_at=timezone.now()) > 0

    def announced(self, pk: int) -> None:
        """Its user has been told."""
        self.filter(pk=pk, announced_at=None).update(announced_at=timezone.now())

    def silent_since(self, moment: datetime) -> ExportQuerySet:
        """Those that no run has written to for so long."""
        return self.filter(state=ExportState.RUNNING, seen_at__lt=moment)

    def overdue(self, now: datetime) -> ExportQuerySet:
        """Those whose time is over."""
        open_ = (ExportState.READY, ExportState.RUNNING)
        return self.filter(state__in=open_, expires_at__lt=now)

    def expire(self, pk: int, now: datetime) -> bool:
        """Offer a file no more."""
        values = {"state": ExportState.EXPIRED, "ended_at": now}
        return self.overdue(now).filter(pk=pk).update(**values) == 1

    def with_useless_file(self) -> ExportQuerySet:
        """Those that are over and still have a file."""
        over = (ExportState.EXPIRED, ExportState.CANCELLED, ExportState.FAILED)
        return self.filter(state__in=over).exclude(path="")

    def forgettable(self, now: datetime, keep: timedelta) -> ExportQuerySet:
        """Those without a file that ended so long ago."""
        over = self.filter(path="", ended_at__lt=now - keep)
        return over.exclude(state__in=(ExportState.READY, ExportState.RUNNING))


class Export(models.Model):
    """One file for one user. The user is named by key: tables may lie in another database."""

    job_id = NameField(_("job id"), max_length=255)
    # With the id: one may be used again, once its job has ended.
    requested_at = models.DateTimeField(_("requested"))
    user_key = NameField(_("user"), max_length=255)
    subject_key = models.CharField(_("about"), max_length=255, blank=True, default="")
    datasets = models.JSONField(_("datasets"))
    file_format = models.CharField(_("format"), max_length=20)
    state = models.CharField(
        _("state"), max_length=10, choices=ExportState, default=ExportState.RUNNING
    )
    rows = models.PositiveBigIntegerField(_("rows"), default=0)
    size = models.PositiveBigIntegerField(_("bytes"), default=0)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, default="")
    storage = models.CharField(_("storage"), max_length=100, blank=True, default="")
    path = models.CharField(_("path"), max_length=500, blank=True, default="")
    token = models.CharField(max_length=64, unique=True, editable=False)
    run = models.CharField(max_length=64, blank=True, default="", editable=False)
    seen_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    announced_at = models.DateTimeField(_("announced"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"))

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ("-pk",)
        permissions = (
            ("export_personal_data", _("Can export the data of another user")),
            ("cancel_export", _("Can cancel exports")),
        )
        constraints = (
            models.UniqueConstraint(fields=("job_id", "requested_at"), name="drq_export_once"),
        )
        indexes = (
            models.Index(fields=("state", "expires_at"), name="drq_export_expiry"),
            models.Index(fields=("user_key",), name="drq_export_user"),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.get_state_display()})"

    @property
    def title(self) -> str:
        """What it is, in one word."""
        return "personal-data" if self.subject_key else str(self.datasets[0])

    @property
    def file_name(self) -> str:
        """What it is called where it is downloaded."""
        extension = "zip" if self.subject_key else self.file_format
        return f"{self.title.replace(':', '-')}-{self.requested_at:%Y-%m-%d}.{extension}"

    @property
    def is_downloadable(self) -> bool:
        """Whether there is a file whose time is not over."""
        return self.state == ExportState.READY and self.expires_at > timezone.now()
