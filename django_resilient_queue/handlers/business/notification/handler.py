"""``user:notification``: tells a user something."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.checks import register
from django.utils import timezone
from rq import get_current_job

from ....checks import TAG
from ....conf import settings
from ....context import REQUEST_ID, USER_ID
from ....exceptions import PermanentError
from ....models import NotificationDelivery
from ...registry import job_handler
from .checks import check_notifications
from .delivery import Delivery
from .notice import Notice
from .recipients import find_user
from .schemas import NAME, UserNotification

_TIMEOUT = 180  # ten devices, and the other channels, each at its limit


class UnknownUser(PermanentError):
    """The user is gone, or not active any more."""


@job_handler(
    NAME,
    schema=UserNotification,
    timeout=_TIMEOUT,
    redact=("title", "message", "variables", "translations", "data", "link"),
)
def notify(data: dict[str, Any]) -> dict[str, Any]:
    """Deliver it by its channels, each at most once over all attempts."""
    user = find_user(data["user"])
    if user is None:
        raise UnknownUser("no active user has this key")
    channels = Delivery(_notice(user, data)).run()
    _prune()
    return {"channels": channels}


def _notice(user: Any, data: dict[str, Any]) -> Notice:
    job = get_current_job()
    if job is None:
        return Notice(user, data, data["key"])
    meta = {name: job.meta[name] for name in (REQUEST_ID, USER_ID) if name in job.meta}
    return Notice(user, data, job.id, job.origin, meta)


def _prune() -> None:
    """Let each notification take away a few records that nobody needs."""
    before = timezone.now() - timedelta(days=settings.NOTIFICATION_RECORD_DAYS)
    NotificationDelivery.objects.using(settings.DATABASE).prune(before)


register(check_notifications, TAG)
