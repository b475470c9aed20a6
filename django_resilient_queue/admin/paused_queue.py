"""The list of paused queues."""

from __future__ import annotations

from django.contrib import admin

from django_resilient_queue.models import PausedQueue

from .read_only import ReadOnlyAdmin


@admin.register(PausedQueue)
class PausedQueueAdmin(ReadOnlyAdmin):
    """What is paused, since when, and by whom."""

    list_display = ("__str__", "paused_at", "paused_by", "reason")
    list_filter = ("paused_at",)
    search_fields = ("queue_name", "paused_by", "reason")
    fields = ("queue_name", "paused_at", "paused_by", "reason")
