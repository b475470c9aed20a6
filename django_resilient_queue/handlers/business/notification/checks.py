"""System checks of notifications: settings that name what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ....conf import settings
from ....setting.base import NAME
from .channels import CHANNELS, push

_ID = "django_resilient_queue"


def check_notifications(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Run them all; the one that Django knows."""
    try:
        return list(chain(_check_channels(), _check_sources(), _check_key()))
    except ImproperlyConfigured:
        return []  # E002 has told


def _check_channels() -> Iterator[CheckMessage]:
    """E121: no such channel. E122: one that every notification is to use, and that can't be."""
    for name in settings.NOTIFICATION_CHANNELS:
        channel = CHANNELS.get(name)
        where = f"{NAME}['NOTIFICATION_CHANNELS'] names {name!r}"
        if channel is None:
            hint = f"Known: {', '.join(CHANNELS)}."
            yield checks.Error(f"{where}, which is no channel.", hint=hint, id=f"{_ID}.E121")
        elif modules := channel.missing_modules:
            hint = f'pip install "django-resilient-queue[{channel.extra}]"'
            message = f"{where}, which needs {', '.join(modules)}."
            yield checks.Error(message, hint=hint, id=f"{_ID}.E122")
        elif keys := channel.missing():
            hint = f"Set {keys} in {NAME}."
            yield checks.Error(f"{where}, which is not set up.", hint=hint, id=f"{_ID}.E122")


def _check_sources() -> Iterator[CheckMessage]:
    """E123: a function that can't be imported."""
    for key in ("NOTIFICATION_LANGUAGE", "NOTIFICATION_PHONE"):
        path = getattr(settings, key)
        if "." in path and not _is_function(path):
            message = f"{NAME}[{key!r}] is {path!r}, which can't be imported or called."
            hint = "Name an attribute of the user, or a function of the user as module.function."
            yield checks.Error(message, hint=hint, id=f"{_ID}.E123")


def _check_key() -> Iterator[CheckMessage]:
    """E124: a key that is none. W121: addresses of the own network may be posted to."""
    if settings.PUSH_VAPID_KEY and not CHANNELS[push.NAME].missing_modules:
        try:
            push.public_key()
        except ValueError:
            message = f"{NAME}['PUSH_VAPID_KEY'] is no private key of P-256."
            hint = "vapid --gen writes one, as PEM, to private_key.pem."
            yield checks.Error(message, hint=hint, id=f"{_ID}.E124")
    if settings.PUSH_PRIVATE_ADDRESSES:
        message = (
            f"{NAME}['PUSH_PRIVATE_ADDRESSES'] lets users have messages posted to your network."
        )
        hint = "Leave it out where users are not yourself."
        yield checks.Warning(message, hint=hint, id=f"{_ID}.W121")


def _is_function(path: str) -> bool:
    try:
        return callable(import_string(path))
    except ImportError:
        return False
