"""Which objects a user of the API may see; a project says so by a class of its own."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from rest_framework.request import Request

from ..conf import settings
from ..job_info import JobInfo
from ..setting.base import NAME

Rows = TypeVar("Rows", bound=QuerySet[Any])


class Scope:
    """Everything, to everybody who has the permission. ``API_SCOPE`` names a subclass."""

    def rows(self, request: Request, rows: Rows) -> Rows:
        """Narrow a queryset of one of our models to what the user may see and change."""
        return rows

    def sees(self, request: Request, job: JobInfo) -> bool:
        """Tell whether the user may see and cancel a job, by its queue or its meta."""
        return True


def scope() -> Scope:
    """Return the one in force. Raises ImproperlyConfigured."""
    path = settings.API_SCOPE
    if not path:
        return Scope()
    where = f"{NAME}['API_SCOPE'] is {path!r}"
    try:
        kind = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{where}, which cannot be imported: {error}.") from error
    if not (isinstance(kind, type) and issubclass(kind, Scope)):
        raise ImproperlyConfigured(f"{where}, which is no class derived from Scope.")
    return kind()
