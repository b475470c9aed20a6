"""System checks of exports, for projects that have a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage
from django.urls import NoReverseMatch, reverse

from .datasets import datasets
from .formats import FORMATS
from .links import DOWNLOAD

_URLS = "django_resilient_queue.handlers.business.export.urls"
_ID = "django_resilient_queue"


def check_exports(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Run them all; the one that Django knows."""
    if not any(True for _ in datasets):
        return []
    return [*_check_urls(), *_check_formats()]


def _check_urls() -> Iterator[CheckMessage]:
    """W101: nobody can download what is exported."""
    try:
        reverse(DOWNLOAD, args=["link"])
    except NoReverseMatch:
        yield checks.Warning(
            "There are export datasets, but no address to download files from.",
            hint=f"path('exports/', include({_URLS!r}))",
            id=f"{_ID}.W101",
        )


def _check_formats() -> Iterator[CheckMessage]:
    """I101: a format that is refused because something is not installed."""
    for each in FORMATS.values():
        if not each.is_there:
            yield checks.Info(
                f"data:export refuses the format {each.name}: {each.requires} is not installed.",
                hint=f'pip install "django-resilient-queue[{each.name}]"',
                id=f"{_ID}.I101",
            )
