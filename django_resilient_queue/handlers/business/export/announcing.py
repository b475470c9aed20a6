"""Telling a user that the file is ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from .... import events
from ....conf import settings
from ....exceptions import ResilientQueueError
from ....models import Export
from ....signals import export_ready
from ....submission import submit
from .links import path_of
from .orders import CHANNELS, Order, address_of
from .publishing import exports


def announce(order: Order, export: Export) -> None:
    """Send the signal and enqueue what the payload asks for; once, or again when nobody knows."""
    if export.announced_at is not None:
        return
    export_ready.send_robust(sender=Export, export=export)
    for channel in order.notify:
        _enqueue(channel, order, export)
    exports().announced(export.pk)


def _enqueue(channel: str, order: Order, export: Export) -> None:
    payload = _mail(order, export) if channel == "email" else _notification(order, export)
    try:
        # An id of its own: enqueued again, it is the same job.
        submit(CHANNELS[channel], payload, job_id=f"{export.token}-{channel}")
    except ResilientQueueError as error:
        events.EXPORT_NOT_ANNOUNCED.log(job_id=export.job_id, cause=error)


def _mail(order: Order, export: Export) -> Mapping[str, Any]:
    words = f"{_message(export)}\n\n{_link(export)}\n"
    return {"to": [address_of(order.user)], "subject": _title(), "body": words}


def _notification(order: Order, export: Export) -> Mapping[str, Any]:
    words = f"{_message(export)} {_link(export)}"
    # The key, so that it is told once even where a first job of that id has ended by now.
    note = {"title": _title(), "message": words, "key": export.token}
    return {"user": str(order.user.pk), **note}


def _title() -> str:
    return _("Your export is ready")


def _message(export: Export) -> str:
    words = _("%(title)s, %(rows)d rows, can be downloaded until %(day)s.")
    day = f"{export.expires_at:%Y-%m-%d}"
    return words % {"title": export.file_name, "rows": export.rows, "day": day}


def _link(export: Export) -> str:
    return f"{settings.EXPORT_URL.rstrip('/')}{path_of(export)}"
