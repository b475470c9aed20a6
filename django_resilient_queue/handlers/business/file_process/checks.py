"""System checks of file:process, for projects that let it read a storage."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from ....conf import settings
from .formats import LIBREOFFICE

_ID = "django_resilient_queue"
# What each is needed for, beyond images, which every job needs.
_WANTED = (
    ("av", "video", "videos"),
    ("pypdfium2", "documents", "text and pictures of documents"),
    ("mammoth", "documents", "html"),
)


def check_files(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """I111: content that is refused because something is not installed. It may not be wanted: told
    with ``--deploy``."""
    try:
        return list(_missing()) if settings.FILE_STORAGES else []
    except ImproperlyConfigured:
        return []  # E002 has told


def _missing() -> Iterator[CheckMessage]:
    for module, extra, content in _WANTED:
        if find_spec(module) is None:
            yield _info(content, module, f'pip install "django-resilient-queue[{extra}]"')
    if not any(map(shutil.which, LIBREOFFICE)):
        yield _info("pdf of office documents", "LibreOffice", "Have soffice on the workers' PATH.")


def _info(content: str, needed: str, hint: str) -> CheckMessage:
    message = f"file:process refuses {content}: {needed} is not installed."
    return checks.Info(message, hint=hint, id=f"{_ID}.I111")
