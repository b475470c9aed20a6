"""The list of jobs that the database holds."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import FallbackJob

from .read_only import ReadOnlyAdmin


@admin.register(FallbackJob)
class FallbackJobAdmin(ReadOnlyAdmin):
    """Which jobs have not ended, and which store has them."""

    list_display = (
        "job_id",
        "queue_name",
        "state",
        "priority",
        "redis_copy",
        "waits_for",
        "attempt",
        "claimed_by",
        "due_at",
        "created_at",
    )
    list_filter = ("state",)
    # Written out, as the admin's own "=" would ignore case and thereby the index.
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ()
    ordering = ("-pk",)
    deferred = ("payload", "outcome")
    fields = (
        "job_id",
        "queue_name",
        "state",
        "priority",
        "redis_copy",
        "waits_for",
        "attempt",
        "rescues",
        "claimed_by",
        "due_at",
        "created_at",
    )
