"""What every page of ours begins with, whatever it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils import timezone

from django_resilient_queue.conf import settings
from django_resilient_queue.models import Outage

from .amounts import moment

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    from .operation import Words


def frame(pages: ModelAdmin[Any], request: HttpRequest, title: Words) -> dict[str, Any]:
    """Return what the admin's own templates show around a page; its addresses are of this site."""
    request.current_app = pages.admin_site.name
    return {**pages.admin_site.each_context(request), "title": title, "opts": pages.opts}


def away_since() -> str:
    """Return since when Redis is away, as the database knows it: no page waits for Redis. Empty
    while it is not."""
    lasting = Outage.objects.using(settings.DATABASE).lasting().order_by("started_at")
    began = lasting.values_list("started_at", flat=True).first()
    return moment(began, timezone.now()) if began else ""
