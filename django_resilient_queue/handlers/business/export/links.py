"""Signed links to exported files. A link alone opens nothing: see `views`."""

from __future__ import annotations

from datetime import timedelta

from django.core.signing import BadSignature, TimestampSigner
from django.urls import NoReverseMatch, reverse

from ....conf import settings
from ....models import Export

DOWNLOAD = "resilient_queue_exports:download"
_SALT = "django_resilient_queue.export"


def path_of(export: Export) -> str:
    """Return the path of a link, empty where the project has not included `urls`."""
    try:
        return reverse(DOWNLOAD, args=[sign(export)])
    except NoReverseMatch:
        return ""


def sign(export: Export) -> str:
    """Return what a link says."""
    return TimestampSigner(salt=_SALT).sign(export.token)


def find(link: str) -> Export | None:
    """Return the export that a link of ours, not too old, is for."""
    try:
        age = timedelta(days=settings.EXPORT_DAYS)
        token = TimestampSigner(salt=_SALT).unsign(link, max_age=age)
    except BadSignature:
        return None
    return Export.objects.using(settings.DATABASE).filter(token=token).first()
