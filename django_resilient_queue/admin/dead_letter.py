"""The list of dead letters."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import DeadLetter

from .read_only import ReadOnlyAdmin


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Which jobs died, when and why."""

    list_display = (
        "job_id",
        "handler",
        "queue_name",
        "reason",
        "error_class",
        "attempts",
        "status",
        "died_at",
    )
    list_filter = ("status", "died_at")
    # Written out, as the admin's own "=" would ignore case and thereby the index.
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("died_at",)
    deferred = ("payload", "traceback")
    fields = (
        "job_id",
        "status",
        "handler",
        "queue_name",
        "priority",
        "reason",
        "error_class",
        "message",
        "traceback",
        "attempts",
        "worker_name",
        "enqueued_at",
        "died_at",
    )
