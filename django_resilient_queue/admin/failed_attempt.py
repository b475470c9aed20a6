"""The list of attempts that failed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import FailedAttempt

from .read_only import ReadOnlyAdmin


@admin.register(FailedAttempt)
class FailedAttemptAdmin(ReadOnlyAdmin):
    """What went wrong each time, also of jobs that wait for another attempt."""

    list_display = ("job_id", "number", "ended_at", "worker_name", "error_class")
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("ended_at",)
    ordering = ("-ended_at", "-pk")
    deferred = ("message", "traceback")
    fields = (
        "job_id",
        "number",
        "started_at",
        "ended_at",
        "worker_name",
        "error_class",
        "message",
        "traceback",
    )
