"""What a job is to export, and how it may be asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from rq.job import Job

from ....conf import settings
from ....handlers.registry import registry
from ....submission import submit
from .datasets import Dataset
from .formats import ZIP, Format
from .pages import Pages

CHANNELS: Mapping[str, str] = {"email": "email:send", "notification": "user:notification"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one dataset: which columns, and the filters as its function takes them."""

    dataset: Dataset
    columns: Mapping[str, str]
    filters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """Who asked for what. With a subject it is a zip, else there is one piece."""

    user: Any
    subject: Any | None
    pieces: Sequence[Piece]
    file_format: Format
    notify: Sequence[str]

    @property
    def delivered_as(self) -> Format:
        """What the user gets."""
        return self.file_format if self.subject is None else ZIP

    def pages(self, piece: Piece) -> Pages:
        """Return the rows of a piece. Raises ImproperlyConfigured."""
        rows = piece.dataset.rows(self.user, piece.filters)
        if self.subject is not None:
            rows = piece.dataset.of_subject(rows, self.subject)
        return Pages(rows, piece.columns, piece.dataset.order_by)

    def plan(self, piece: Piece) -> str:
        """Return what a file of a piece is to be, in a form that can be compared: it may have been
        begun by a process with other code."""
        subject = None if self.subject is None else str(self.subject.pk)
        parts = [
            piece.dataset.name,
            piece.dataset.order_by,
            list(piece.columns.items()),
            sorted((name, str(value)) for name, value in piece.filters.items()),
            str(self.user.pk),
            subject,
            self.file_format.name,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def channel_problem(channel: str, user: Any) -> str:
    """Say why a user can't be told through a channel; empty when that is possible."""
    handler = CHANNELS[channel]
    if handler not in registry:
        return _("No job handler is named %s.") % handler
    if channel == "email" and not address_of(user):
        return _("The user has no address.")
    if not settings.EXPORT_URL:
        return _("RESILIENT_QUEUE['EXPORT_URL'] does not say where links lead to.")
    return ""


def address_of(user: Any) -> str:
    """Return a user's mail address, where they have one."""
    return str(getattr(user, type(user).get_email_field_name(), "") or "")


def request_export(
    user: Any,
    dataset: str = "",
    *,
    file_format: str = "csv",
    filters: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
    subject: Any | None = None,
    datasets: Sequence[str] = (),
    notify: Sequence[str] = (),
    **options: Any,
) -> Job:
    """Enqueue an export for a user: of a *dataset*, or of what registered datasets (or those named)
    hold about the user *subject*, as a zip. *options* and errors as of `enqueue`."""
    payload = {
        "user": str(user.pk),
        "dataset": dataset,
        "subject": "" if subject is None else str(subject.pk),
        "datasets": list(datasets),
        "file_format": file_format,
        "filters": dict(filters or {}),
        "columns": list(columns),
        "notify": list(notify),
    }
    return submit("data:export", payload, user_id=str(user.pk), **options)
