"""The list of notifications within the project."""

from __future__ import annotations

from .....conf import settings
from .....models import Notification
from ..notice import Notice


def send(notice: Notice) -> None:
    """Write it into the user's list, once."""
    words = notice.words("in_app")
    Notification.objects.using(settings.DATABASE).get_or_create(
        user_key=notice.user_key,
        key=notice.key,
        defaults={
            "kind": notice.kind,
            "title": words.title,
            "message": words.message,
            "link": notice.payload["link"],
            "data": notice.payload["data"],
        },
    )


def missing() -> str | None:
    """Nothing is needed."""
    return None
