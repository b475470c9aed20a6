"""The list of outages."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import Outage

from .read_only import ReadOnlyAdmin


@admin.register(Outage)
class OutageAdmin(ReadOnlyAdmin):
    """When Redis was away, and what the database did meanwhile."""

    list_display = (
        "started_at",
        "ended_at",
        "duration",
        "broker",
        "cause",
        "jobs_stored",
        "jobs_executed",
        "jobs_drained",
        "jobs_lost",
        "slowest",
    )
    list_filter = (("ended_at", EmptyFieldListFilter), "started_at")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("started_at",)
    readonly_fields = ("duration", "slowest")
    fields = (
        "broker",
        "started_at",
        "ended_at",
        "duration",
        "cause",
        "reported_by",
        "jobs_stored",
        "jobs_executed",
        "jobs_drained",
        "jobs_lost",
        "slowest",
    )

    @admin.display(description=_("slowest enqueue"))
    def slowest(self, outage: Outage) -> str:
        """Return how long the slowest of those that were stored took its caller."""
        return f"{outage.slowest_enqueue * 1000:.0f} ms" if outage.jobs_stored else "-"

    @admin.display(description=_("duration"))
    def duration(self, outage: Outage) -> timedelta:
        """Return how long it lasted, or has lasted so far, in whole seconds."""
        lasted = (outage.ended_at or timezone.now()) - outage.started_at
        return timedelta(seconds=round(lasted.total_seconds()))
