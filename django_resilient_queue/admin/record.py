"""What people have done from the pages: an entry of the admin's log, and a signal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

from django_resilient_queue import signals
from django_resilient_queue.conf import settings

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    from .operation import Words


def is_log_beside() -> bool:
    """Tell whether the log is in the database of the queue: then what is done there and that it was
    done are of one transaction."""
    return _database_of_log() == settings.DATABASE


@contextmanager
def done_and_recorded() -> Iterator[None]:
    """Have what is done inside be recorded, and nothing else: in one transaction or, where the log
    is in another database, in two of which that of the log ends last."""
    log = transaction.atomic(using=_database_of_log())
    with log, transaction.atomic(using=settings.DATABASE, savepoint=False):
        yield


def note(pages: ModelAdmin[Any], request: HttpRequest, row: Model, said: Words) -> None:
    """Write an entry about a row, by the means of these pages: a project may have its own."""
    pages.log_change(request, row, str(said))


def record(
    pages: ModelAdmin[Any], request: HttpRequest, operation: str, row: Model, said: Words
) -> None:
    """Note what was done to a row, and tell of it."""
    note(pages, request, row, said)
    tell(request, type(row), operation, row, str(said))


def record_new(
    pages: ModelAdmin[Any], request: HttpRequest, operation: str, row: Model, said: Words
) -> None:
    """Note that there is a row by it."""
    pages.log_addition(request, row, str(said))
    tell(request, type(row), operation, row, str(said))


def note_of_many(request: HttpRequest, model: type[Model], name: str, said: Words) -> None:
    """Write one entry about many rows, under *name*."""
    LogEntry.objects.create(
        user_id=cast("int", request.user.pk),
        content_type=ContentType.objects.get_for_model(model),
        object_repr=name[:200],
        action_flag=CHANGE,
        change_message=str(said),
    )


def record_of_many(
    request: HttpRequest, operation: str, model: type[Model], name: str, said: str
) -> None:
    """Note once what was done to many rows, and tell of it."""
    note_of_many(request, model, name, said)
    tell(request, model, operation, None, said)


# Of what is not one transaction there are two entries: one before it, and what has come of it.


def ordered(label: Words) -> str:
    """Say what is about to be done."""
    return _("%(label)s: ordered.") % {"label": label}


def not_done(label: Words, cause: object) -> str:
    """Say that nothing has come of it."""
    return _("%(label)s: not done. %(cause)s") % {"label": label, "cause": cause}


def not_known(label: Words, cause: object) -> str:
    """Say that nobody knows what has come of it."""
    words = _("%(label)s: whether it was done is not known. %(cause)s")
    return words % {"label": label, "cause": cause}


def tell(
    request: HttpRequest, model: type[Model], operation: str, row: Model | None, said: str
) -> None:
    """Send the signal once it is true."""
    words: dict[str, Any] = {"operation": operation, "row": row, "words": said}
    words["by"] = request.user.get_username()
    signal = signals.operator_acted
    transaction.on_commit(lambda: signal.send_robust(model, **words), using=_database_of_log())


def _database_of_log() -> str:
    return router.db_for_write(LogEntry)
