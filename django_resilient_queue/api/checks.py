"""The system check of the API's settings. It imports the REST framework only where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..conf import settings

_HINT = (
    "Name a class derived from django_resilient_queue.api.scoping.Scope by its module and name,"
    " as 'shop.queue.TeamScope'."
)


def check_scope(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E036: a scope that can't be had. Every call of the API would be an error of the server."""
    try:
        if not settings.API_SCOPE:
            return []
    except ImproperlyConfigured:
        return []  # E002 has told
    from .scoping import scope

    try:
        scope()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=_HINT, id="django_resilient_queue.E036")]
    return []
