"""The list of alerts, and what became of their notices."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter

from django_resilient_queue.models import Alert, AlertNotice, AlertSilence

from .read_only import ReadOnlyAdmin, ReadOnlyInline


class NoticeInline(ReadOnlyInline):
    """The notices of one alert."""

    model = AlertNotice
    fields = ("channel", "kind", "made_at", "tries", "try_at", "done_at", "problem")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What is or was wrong, and who was told."""

    list_display = ("rule", "key", "severity", "since", "fired_at", "told_at", "resolved_at")
    list_filter = (("resolved_at", EmptyFieldListFilter), "severity", "since")
    fields = (*list_display, "message", "gone_at")
    inlines = (NoticeInline,)


@admin.register(AlertSilence)
class AlertSilenceAdmin(ReadOnlyAdmin):
    """Rules of which nobody wants to hear for a while."""

    list_display = ("rule", "until", "set_by", "reason")
    fields = list_display
