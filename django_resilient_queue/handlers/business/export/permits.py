"""Who may export what: asked when an export is enqueued, performed and downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from .datasets import Dataset

OF_OTHERS = "django_resilient_queue.export_personal_data"


def find_user(key: str) -> Any | None:
    """Return the user of a primary key, in whatever form that is."""
    try:
        return get_user_model()._default_manager.filter(pk=key).first()
    except (ValueError, TypeError, OverflowError, ValidationError):
        return None


def may_export(user: Any, chosen: Iterable[Dataset], subject: Any | None = None) -> bool:
    """Whether a user may have rows of datasets, all of them or those about *subject*."""
    if not user.is_active:
        return False
    if subject is not None:
        if user.pk == subject.pk:
            return True
        if not user.has_perm(OF_OTHERS):
            return False
    return all(user.has_perm(dataset.permission) for dataset in chosen)
