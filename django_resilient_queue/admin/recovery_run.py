"""The list of recovery runs, and of what each did with its letters."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import RecoveryRun, RunItem

from .read_only import ReadOnlyAdmin


@admin.register(RecoveryRun)
class RecoveryRunAdmin(ReadOnlyAdmin):
    """What is requeued at once, how fast, and how far that has come."""

    list_display = (
        "__str__",
        "created_at",
        "created_by",
        "reason",
        "total",
        "requeued",
        "skipped",
        "refused",
        "ended_at",
    )
    list_filter = ("status",)
    sortable_by = ()
    ordering = ("-pk",)
    readonly_fields = ("letters",)
    fields = (
        "status",
        "note",
        "selection",
        "reason",
        "created_by",
        "created_at",
        "ended_at",
        "rate",
        "canary",
        "total",
        "requeued",
        "skipped",
        "refused",
        "letters",
    )

    @admin.display(description=_("letters"))
    def letters(self, run: RecoveryRun) -> SafeString:
        """Return a link to them: there may be hundreds of thousands."""
        address = reverse("admin:django_resilient_queue_runitem_changelist")
        words = _("what was done with each")
        return format_html('<a href="{}?run__exact={}">{}</a>', address, run.pk, words)


@admin.register(RunItem)
class RunItemAdmin(ReadOnlyAdmin):
    """What a run did with one letter."""

    list_display = ("letter", "run", "outcome", "detail")
    list_filter = ("outcome",)
    sortable_by = ()
    ordering = ("-pk",)
    # Without the letters' large columns, a page of which is megabytes.
    list_select_related = ("run", "letter")
    deferred = ("letter__payload", "letter__message", "letter__traceback")
    fields = ("run", "letter", "outcome", "detail")
