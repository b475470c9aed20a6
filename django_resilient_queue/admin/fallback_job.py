"""The list of jobs that the database holds, why each waits, and what can be done about it."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.exceptions import ResilientQueueError, StoreAmbiguous
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import FallbackJobQuerySet, Standing, State
from django_resilient_queue.recovery.cancelling import Cancelled, cancel
from django_resilient_queue.recovery.drain import drain_now
from django_resilient_queue.recovery.hastening import hasten

from .addresses import address
from .amounts import age, date_and_time
from .columns import below
from .frame import frame
from .operation import GRAVE, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin
from .record import not_done, not_known, note_of_many, ordered, record_of_many

_WAITING = (State.READY, State.DISPATCHED)


class Hasten(Operation):
    """Has a job begin as soon as it can."""

    name = "hasten"
    permission = "requeue_fallbackjob"
    label = _("Requeue now")
    question = _(
        "A job that waits for its time is due at once. One that Redis should have is looked for "
        "there now, and put back if Redis has lost it."
    )
    form_class = forms.Form

    def is_offered(self, row: FallbackJob) -> bool:
        """Offer it for jobs that no worker has."""
        return row.state in _WAITING and not row.waits_for

    def perform(self, request: HttpRequest, row: FallbackJob, form: forms.Form) -> Words:
        """Hasten it. Raises ValueError when a worker has it meanwhile."""
        if not hasten(row):
            raise ValueError(_("The job has changed meanwhile: look at it again."))
        return _("Requeued.")


class Cancel(Operation):
    """Ends a job before it starts."""

    name = "cancel"
    permission = "cancel_job"
    label = _("Cancel job")
    question = _("The job is taken out of both stores and never run.")
    is_final = True
    look = GRAVE
    is_atomic = False
    removes_row = True
    form_class = forms.Form

    def is_offered(self, row: FallbackJob) -> bool:
        """Offer it for jobs that no worker has."""
        return row.state in _WAITING

    def perform(self, request: HttpRequest, row: FallbackJob, form: forms.Form) -> Words:
        """Cancel it. Raises ValueError when it runs or has ended, StoreError when Redis, which may
        have it, can't be told."""
        outcome = cancel(row.job_id)
        if outcome is not Cancelled.CANCELLED:
            raise ValueError(_REFUSALS[outcome])
        return _("Cancelled.")


_REFUSALS = {
    Cancelled.ACTIVE: _("A worker has the job already."),
    Cancelled.STOPPING: _("A worker has the job already."),
    Cancelled.ENDED: _("The job has ended already."),
    Cancelled.ABSENT: _("There is no such job any more."),
}


class Drain(Operation):
    """Has stored jobs go home."""

    name = "drain"
    permission = "drain_fallbackjob"
    label = _("Drain now")
    question = _(
        "Jobs without a copy in Redis are sent there now, for a second. Workers do that by "
        "themselves as soon as they find Redis back."
    )
    form_class = forms.Form


@admin.register(FallbackJob)
class FallbackJobAdmin(OperationsMixin, ReadOnlyAdmin):
    """Which jobs have not ended, and which store has them."""

    nothing = _("No job that has not ended has a row here.")
    operations = (Hasten(), Cancel())
    change_list_template = "admin/django_resilient_queue/stored_jobs.html"
    drain = Drain()
    # As much of a line as fits beside the filters: the rest is on a job's page.
    list_display = ("job_id", "queue_name", "why", "age", "attempt", "priority")
    list_filter = ("state",)
    # Written out, as the admin's own "=" would ignore case and thereby the index.
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("age",)
    ordering = ("-pk",)
    deferred = ("payload", "outcome")
    readonly_fields = ("why", "age", "copy")
    fields = (
        "job_id",
        "queue_name",
        "state",
        "why",
        "priority",
        "copy",
        "waits_for",
        "attempt",
        "rescues",
        "claimed_by",
        "due_at",
        "created_at",
        "age",
    )

    def get_urls(self) -> list[URLPattern]:
        """Add the address at which all are drained."""
        view = self.admin_site.admin_view(self.drain_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_drain"
        return [path("drain/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and the button to whom it is for."""
        drain = self.drain if self.drain.is_permitted(request) else None
        return super().changelist_view(request, {**(extra_context or {}), "drain": drain})

    def drain_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, and do it. No page is in a transaction: what is pushed has to be marked first."""
        if not (self.drain.is_permitted(request) and self.has_view_permission(request)):
            raise PermissionDenied
        if request.method == "POST":
            self._drain(request)
            return HttpResponseRedirect(address(self, "changelist"))
        context = {
            **frame(self, request, self.drain.label),
            "object": _("all"),
            "object_address": address(self, "changelist"),
            "operation": self.drain,
            "form": self.drain.form_class(),
        }
        return TemplateResponse(request, self.drain.template_name, context)

    def _drain(self, request: HttpRequest) -> None:
        name, label = str(self.opts.verbose_name_plural), self.drain.label
        note_of_many(request, FallbackJob, name, ordered(label))
        try:
            drained = drain_now()
        except ResilientQueueError as error:
            outcome = not_known if isinstance(error, StoreAmbiguous) else not_done
            note_of_many(request, FallbackJob, name, outcome(label, error))
            messages.error(request, str(error))
            return
        count = drained.count
        said = ngettext("%d job sent to Redis.", "%d jobs sent to Redis.", count) % count
        record_of_many(request, self.drain.name, FallbackJob, name, said)
        messages.success(request, said)
        if drained.stopped_by is not None:
            messages.warning(request, str(drained.stopped_by))

    @admin.display(description=_("where it stands"))
    def why(self, row: FallbackJob) -> SafeString:
        """Return in words what the job waits for, or who has it; and the state of its row."""
        standing = row.standing(timezone.now())
        words = str(standing.label)
        if standing is Standing.WAITS_FOR_TIME:
            words = f"{words}, {date_and_time(row.due_at)}"
        return below(words, row.claimed_by or row.get_state_display())

    @admin.display(description=_("may be in Redis"))
    def copy(self, row: FallbackJob) -> str:
        """Return a word: a red cross would look as if something were wrong."""
        return gettext("yes") if row.redis_copy else gettext("no")

    # Rows are numbered in the order in which they were made.
    @admin.display(description=_("age"), ordering="pk")
    def age(self, row: FallbackJob) -> str:
        """Return how long ago it was enqueued."""
        return age((timezone.now() - row.created_at).total_seconds())

    def get_queryset(self, request: HttpRequest) -> FallbackJobQuerySet:
        """Tell of each row whether its queue is paused, without a query for each."""
        rows = cast("FallbackJobQuerySet", super().get_queryset(request))
        return rows.with_pauses()
