"""What every page of ours begins with, whatever it is of."""

from __future__ import annotations

from django_resilient_queue.conf import settings
from django_resilient_queue.models import Outage


def present_outage() -> Outage | None:
    """Return the outage that lasts, as the database knows it: no page waits for Redis."""
    return Outage.objects.using(settings.DATABASE).lasting().order_by("started_at").first()
