"""What is known of the user who is notified."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.module_loading import import_string
from django.utils.translation import get_supported_language_variant

from ....conf import settings


def find_user(key: str) -> Any:
    """Return the active user of this key, None when there is none."""
    model = get_user_model()
    try:
        user = model._default_manager.filter(pk=key).first()
    except (OverflowError, TypeError, ValueError, ValidationError):  # no key of this kind
        return None
    return user if user is not None and user.is_active else None


def language_of(user: Any) -> str:
    """Return a language that the project has: the user's, or the project's own."""
    code = _read(settings.NOTIFICATION_LANGUAGE, user)
    try:
        return get_supported_language_variant(code)
    except LookupError:
        return django_settings.LANGUAGE_CODE


def phone_of(user: Any) -> str:
    """Return what the project has as a number, empty for none."""
    return _read(settings.NOTIFICATION_PHONE, user)


def email_of(user: Any) -> str:
    """Return what the project has as an address, empty for none."""
    return str(getattr(user, user.get_email_field_name(), "") or "")


def _read(source: str, user: Any) -> str:
    if not source:
        return ""
    value = import_string(source)(user) if "." in source else getattr(user, source, None)
    return str(value or "")
