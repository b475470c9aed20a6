"""The list of attempts that failed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import FailedAttempt

from .columns import ago
from .operation import Words
from .read_only import ReadOnlyAdmin


@admin.register(FailedAttempt)
class FailedAttemptAdmin(ReadOnlyAdmin):
    """What went wrong each time, also of jobs that wait for another attempt."""

    list_display = ("job_id", "count", "ended", "worker_name", "error_class")
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("ended",)
    ordering = ("-ended_at", "-pk")
    deferred = ("message", "traceback")
    fields = (
        "job_id",
        "count",
        "started_at",
        "ended_at",
        "worker_name",
        "error_class",
        "message",
        "lines",
    )
    readonly_fields = ("count", "lines")

    @admin.display(description=_("number"))
    def count(self, attempt: FailedAttempt) -> int:
        """Return which it was, from 1: as a letter's page counts them."""
        return attempt.number + 1

    @admin.display(description=_("ended"), ordering="ended_at")
    def ended(self, attempt: FailedAttempt) -> Words:
        """Return how long ago."""
        return ago(attempt.ended_at)

    @admin.display(description=_("traceback"), empty_value="-")
    def lines(self, attempt: FailedAttempt) -> SafeString | str:
        """Return it as Python writes it: what is indented belongs to the line above."""
        if not attempt.traceback:
            return ""
        return format_html('<pre class="drq-code" tabindex="0">{}</pre>', attempt.traceback)
