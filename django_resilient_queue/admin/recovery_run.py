"""The list of recovery runs, how far each has come, and what it did with its letters."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_resilient_queue.models import DeadLetter, RecoveryRun, RunItem
from django_resilient_queue.models.recovery_run import Deed, RunStatus
from django_resilient_queue.recovery.runs import cancel_run, pause_run, resume_run
from django_resilient_queue.recovery.selection import Selection

from .addresses import may_see
from .operation import GRAVE, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin

_SECONDS = 2  # between two looks at a run that goes on
_OPEN = (RunStatus.RUNNING, RunStatus.PAUSED)
_LIMITS = {"since": _("died since"), "until": _("died until")}


class _Change(Operation):
    permission = "change_recoveryrun"
    from_: ClassVar[tuple[RunStatus, ...]]
    done: ClassVar[Words]

    def is_offered(self, row: RecoveryRun) -> bool:
        return row.status in self.from_

    def change(self, row: RecoveryRun, reason: str) -> bool:
        raise NotImplementedError

    def perform(self, request: HttpRequest, row: RecoveryRun, form: forms.Form) -> Words:
        """Change its status. Raises ValueError when it ended meanwhile."""
        if not self.change(row, form.cleaned_data.get("reason", "")):
            raise ValueError(_("The run is %(status)s.") % {"status": row.get_status_display()})
        return self.done


class Pause(_Change):
    """Stops a run for now."""

    name = "pause"
    label = _("Pause")
    question = _("No more letters are dealt with until the run is resumed.")
    from_ = (RunStatus.RUNNING,)
    done = _("Paused.")

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Pause it; False when it was not running."""
        return pause_run(row, note=reason)


class Resume(_Change):
    """Has a run go on."""

    name = "resume"
    label = _("Resume")
    question = _("The remaining letters are dealt with, whatever became of the canary.")
    from_ = (RunStatus.PAUSED,)
    done = _("Resumed.")
    form_class = forms.Form

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Resume it; False when it was not paused."""
        return resume_run(row)


class Cancel(_Change):
    """Ends a run early."""

    name = "cancel"
    label = _("Cancel run")
    question = _("The remaining letters stay as they are. What has been done stays done.")
    is_final = True
    look = GRAVE
    from_ = _OPEN
    done = _("Cancelled.")

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Cancel it; False when it had ended."""
        return cancel_run(row, note=reason)


@admin.register(RecoveryRun)
class RecoveryRunAdmin(OperationsMixin, ReadOnlyAdmin):
    """What is requeued at once, how fast, and how far that has come."""

    operations = (Pause(), Resume(), Cancel())
    list_display = (
        "__str__",
        "created_at",
        "created_by",
        "reason",
        "status",
        "deed",
        "total",
        "done",
        "skipped",
        "refused",
        "ended_at",
    )
    list_filter = ("status",)
    sortable_by = ()
    ordering = ("-pk",)
    readonly_fields = ("progress", "chosen", "letters")
    fields = (
        "progress",
        "deed",
        "note",
        "chosen",
        "reason",
        "created_by",
        "created_at",
        "ended_at",
        "rate",
        "canary",
        "letters",
    )

    class Media:
        """What keeps the progress up to date."""

        js = (forms.Script("django_resilient_queue/fresh.js", type="module"),)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a run; what can be done with it changes while it goes on."""
        context = {**(extra_context or {}), "fresh_seconds": _SECONDS}
        return super().change_view(request, object_id, form_url, context)

    def get_fields(self, request: HttpRequest, obj: RecoveryRun | None = None) -> Any:
        """Leave out the link to letters for whoever may not open it."""
        fields = super().get_fields(request, obj)
        if may_see(self.admin_site, request, RunItem):
            return fields
        return [name for name in fields if name != "letters"]

    @admin.display(description=_("progress"))
    def progress(self, run: RecoveryRun) -> SafeString:
        """Return a bar, and the same in words."""
        done = run.handled
        return render_to_string(
            "admin/django_resilient_queue/progress.html",
            {
                "total": max(run.total, done, 1),
                "done": done,
                "percent": 100 * done // max(run.total, done, 1),
                "words": _progress_of(run),
                "seconds": _SECONDS if run.status in _OPEN else None,
            },
        )

    @admin.display(description=_("done"))
    def done(self, run: RecoveryRun) -> int:
        """Return to how many letters it was done."""
        return run.handled - run.skipped - run.refused

    @admin.display(description=_("selection"))
    def chosen(self, run: RecoveryRun) -> str:
        """Return which letters the run is of, a criterion after the other."""
        # In an order of ours: databases keep that of the keys, or do not.
        names = [field.name for field in fields(Selection) if field.name in run.selection]
        criteria = [_criterion(name, run.selection[name]) for name in names]
        return ", ".join(criteria) or str(_("all dead letters"))

    @admin.display(description=_("letters"))
    def letters(self, run: RecoveryRun) -> SafeString:
        """Return a link to them, where they have pages: there may be hundreds of thousands."""
        # As Django does it itself: a display is told of no request.
        address = reverse(f"{self.admin_site.name}:django_resilient_queue_runitem_changelist")
        words = _("what was done with each")
        return format_html('<a href="{}?run__exact={}">{}</a>', address, run.pk, words)


def _criterion(name: str, value: Any) -> str:
    if name == "ids":
        return ngettext("%(count)d chosen letter", "%(count)d chosen letters", len(value)) % {
            "count": len(value)
        }
    if name in _LIMITS:
        return f"{_LIMITS[name]} {localize(localtime(datetime.fromisoformat(value)))}"
    field: Any = DeadLetter._meta.get_field(name)
    return f"{field.verbose_name} {dict(field.flatchoices).get(value, value)}"


_DONE = {
    Deed.REQUEUE: _("%(count)d requeued"),
    Deed.DISCARD: _("%(count)d discarded"),
    Deed.RESTORE: _("%(count)d restored"),
}


def _progress_of(run: RecoveryRun) -> str:
    words = ngettext(
        "%(status)s: of %(total)d letter %(done)s, %(skipped)d dealt with by others, "
        "%(refused)d refused",
        "%(status)s: of %(total)d letters %(done)s, %(skipped)d dealt with by others, "
        "%(refused)d refused",
        run.total,
    )
    done = _DONE[Deed(run.deed)] % {"count": run.handled - run.skipped - run.refused}
    counts = {name: getattr(run, name) for name in ("total", "skipped", "refused")}
    return words % {"status": run.get_status_display().capitalize(), "done": done, **counts}


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
