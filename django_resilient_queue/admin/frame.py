"""What every page of ours begins with, whatever it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

from django_resilient_queue.conf import settings
from django_resilient_queue.models import Outage

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    from .operation import Words


def frame(pages: ModelAdmin[Any], request: HttpRequest, title: Words) -> dict[str, Any]:
    """Return what the admin's own templates show around a page; its addresses are of this site."""
    request.current_app = pages.admin_site.name
    return {**pages.admin_site.each_context(request), "title": title, "opts": pages.opts}


def present_outage() -> Outage | None:
    """Return the outage that lasts, as the database knows it: no page waits for Redis."""
    return Outage.objects.using(settings.DATABASE).lasting().order_by("started_at").first()
