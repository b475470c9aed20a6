"""The list of dead letters, and what is known of each."""

from __future__ import annotations

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import Correction, DeadLetter
from django_resilient_queue.redaction import redact_patch

from .read_only import ReadOnlyAdmin, ReadOnlyInline

_SEES_ALL = "django_resilient_queue.view_sensitive_payload"
_LONGEST = 500  # characters of a message in the history


class CorrectionInline(ReadOnlyInline):
    """Who changed which arguments; secrets are masked for everybody."""

    model = Correction
    deferred = ("before", "after", "letter__payload", "letter__message", "letter__traceback")
    fields = readonly_fields = ("made_at", "made_by", "reason", "difference")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Correction]:
        """Take the letter along, which says what is masked: not a query for each."""
        return super().get_queryset(request).select_related("letter")

    @admin.display(description=_("difference"))
    def difference(self, correction: Correction) -> SafeString:
        """Return the change as JSON."""
        return _as_text(
            redact_patch(correction.diff, registry.redact_keys(correction.letter.handler))
        )


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
    inlines = (CorrectionInline,)
    readonly_fields = ("history", "masked", "revealed")
    fields = (
        "job_id",
        "status",
        "handler",
        "queue_name",
        "priority",
        "reason",
        "category",
        "error_class",
        "message",
        "traceback",
        "fingerprint",
        "attempts",
        "history",
        "worker_name",
        "enqueued_at",
        "died_at",
        "requeued_from",
        "requeued_as",
        "changed_at",
        "changed_by",
        "change_reason",
    )

    def get_fields(self, request: HttpRequest, obj: DeadLetter | None = None) -> tuple[str, ...]:
        """Show the job itself as far as the user may see it."""
        sees_all = request.user.has_perm(_SEES_ALL)
        return (*self.fields, "revealed" if sees_all else "masked")

    @admin.display(description=_("job"))
    def masked(self, letter: DeadLetter) -> SafeString:
        """Return arguments and meta as JSON, without secrets."""
        return _as_text(letter.readable)

    @admin.display(description=_("job"))
    def revealed(self, letter: DeadLetter) -> SafeString:
        """Return the same with them."""
        return _as_text(letter.revealed)

    @admin.display(description=_("history"))
    def history(self, letter: DeadLetter) -> SafeString:
        """Return a line for each attempt that failed."""
        attempts = letter.history.defer("traceback")
        lines = [
            (each.number + 1, each.ended_at, each.worker_name, each.error_class, _cut(each.message))
            for each in attempts
        ]
        return format_html_join("", "<div>{}. {} {} <b>{}</b> {}</div>", lines)


def _as_text(value: object) -> SafeString:
    words = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="drq-text">{}</pre>', words)


def _cut(message: str) -> str:
    return Truncator(message).chars(_LONGEST)
