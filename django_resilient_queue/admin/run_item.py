"""The list of what recovery runs did, letter by letter."""

from __future__ import annotations

from django.contrib import admin

from django_resilient_queue.models import RunItem

from .read_only import ReadOnlyAdmin


@admin.register(RunItem)
class RunItemAdmin(ReadOnlyAdmin):
    """What a run did with one letter."""

    list_display = ("letter", "run", "outcome", "detail")
    list_filter = ("outcome",)
    sortable_by = ()
    # Along the index of a run, and that of an outcome, whichever the list is narrowed by.
    ordering = ("-run_id", "-letter_id")
    # Without the letters' large columns, a page of which is megabytes.
    list_select_related = ("run", "letter")
    deferred = ("letter__payload", "letter__message", "letter__traceback")
    fields = ("run", "letter", "outcome", "detail")
