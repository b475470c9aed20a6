"""The list of paused queues, and an end of each pause."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import PausedQueue
from django_resilient_queue.pauses import resume

from .operation import Operation, OperationsMixin, Words, require_change
from .read_only import ReadOnlyAdmin


class Resume(Operation):
    """Ends a pause."""

    name = "resume"
    permission = "pause_queue"
    label = _("Resume")
    question = _("Workers take jobs from it again, at once.")
    removes_row = True
    form_class = forms.Form

    def perform(self, request: HttpRequest, row: PausedQueue, form: forms.Form) -> Words:
        """Resume the queue; the row of all queues ends each single pause, too. Raises ValueError
        when somebody else did meanwhile."""
        require_change(resume(row.queue_name), row)
        return _("Resumed.")


@admin.register(PausedQueue)
class PausedQueueAdmin(OperationsMixin, ReadOnlyAdmin):
    """What is paused, since when, and by whom."""

    nothing = _("The overview has a button for each queue, and one for all.")
    operations = (Resume(),)
    list_display = ("__str__", "paused_at", "paused_by", "reason")
    list_filter = ("paused_at",)
    search_fields = ("queue_name", "paused_by", "reason")
    fields = ("queue_name", "paused_at", "paused_by", "reason")
