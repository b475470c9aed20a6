"""The task ``read_notifications`` of cleanup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from ....conf import settings
from ....models.notification import Notification, NotificationQuerySet
from ...cleanups import Find, cleanup_task, pages
from .schemas import ReadNotifications


@cleanup_task("read_notifications", options=ReadNotifications)
def read_notifications(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """What was read so long ago; what nobody has read stays. Nobody's messages are listed."""
    moment = timezone.now() - timedelta(seconds=options["older_than"])
    read = Notification.objects.using(settings.DATABASE).read_before(moment)
    for page in pages(read, limit):
        keys = [key for (key,) in page]
        yield Find(partial(_delete, read, keys), count=len(keys))


def _delete(read: NotificationQuerySet, keys: list[int]) -> int:
    return read.filter(pk__in=keys).delete()[0]
