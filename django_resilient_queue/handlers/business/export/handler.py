"""``data:export``: rows of registered datasets as a file."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.checks import register
from django.utils import timezone
from rq import get_current_job
from rq.job import Job

from ....checks import TAG
from ....conf import settings
from ....context import USER_ID
from ....exceptions import PermanentError
from ....models import DeadLetter, Export
from ....models.export import ExportState
from ....signals import job_dead_lettered
from ...registry import job_handler
from . import publishing, spool
from .announcing import announce
from .checks import check_exports
from .orders import Order
from .production import Production, Unwanted
from .publishing import exports
from .schemas import NAME, ExportOrder

_TIMEOUT = 3600
_STALE = 24 * 3600.0  # seconds after which what is left in the spool is nobody's


class NotTheSubmitter(PermanentError):
    """A payload names another user than the one who enqueued it."""


class Superseded(Exception):
    """This run was taken for dead, and another one has its work."""


@job_handler(NAME, schema=ExportOrder, timeout=_TIMEOUT, redact=("filters", "subject"))
def export(data: dict[str, Any]) -> dict[str, Any]:
    """Make the file, unless it is there already, and tell its user."""
    order: Order = data["order"]
    job = get_current_job()
    refuse_another_user(order, job)
    clean_up()
    found = begin(order, job)
    if found.state == ExportState.RUNNING:
        try:
            Production(order, found).make()
        except Unwanted:
            found.refresh_from_db(using=settings.DATABASE)
            if found.state == ExportState.RUNNING:
                raise Superseded("another run of this job makes the file") from None
    if found.state == ExportState.READY:
        announce(order, found)
    return {
        "export": found.pk,
        "state": str(found.state),
        "rows": found.rows,
        "size": found.size,
        "sha256": found.sha256,
    }


def refuse_another_user(order: Order, job: Job | None) -> None:
    """Raise NotTheSubmitter: whoever asks for an export in another's name would have it made with
    that one's permissions."""
    said = job.meta.get(USER_ID) if job is not None else None
    if said is not None and str(said) != str(order.user.pk):
        raise NotTheSubmitter("the payload names another user than the one who enqueued it")


def begin(order: Order, job: Job | None) -> Export:
    """Return the row of this job."""
    values = {
        "user_key": str(order.user.pk),
        "subject_key": "" if order.subject is None else str(order.subject.pk),
        "datasets": [piece.dataset.name for piece in order.pieces],
        "file_format": order.file_format.name,
        "expires_at": publishing.expiry(),
    }
    if job is None:
        return exports().begin(secrets.token_urlsafe(16), timezone.now(), values)
    return exports().begin(job.id, job.created_at, values)


def clean_up() -> None:
    """Let each export take away a few that are over."""
    publishing.bury_the_silent()
    publishing.expire_exports()
    spool.remove_left_over(_STALE)


def note_death(dead_letter: DeadLetter, **kwargs: object) -> None:
    """Say that an export has failed whose job is dead."""
    if dead_letter.handler != NAME:
        return
    for found in exports().filter(job_id=dead_letter.job_id, state=ExportState.RUNNING):
        exports().end(dead_letter.job_id, ExportState.FAILED)
        spool.remove_of(found.token)


register(check_exports, TAG)
job_dead_lettered.connect(note_death, dispatch_uid="django_resilient_queue.export")
