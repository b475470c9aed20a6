"""The list of jobs that the database holds, why each waits, and what can be done about it."""

from __future__ import annotations

from typing import cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import FallbackJob
from django_resilient_queue.models.fallback_job import FallbackJobQuerySet, Standing, State
from django_resilient_queue.recovery.cancelling import Cancelled, cancel
from django_resilient_queue.recovery.hastening import hasten

from .operation import Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin

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


@admin.register(FallbackJob)
class FallbackJobAdmin(OperationsMixin, ReadOnlyAdmin):
    """Which jobs have not ended, and which store has them."""

    operations = (Hasten(), Cancel())
    list_display = (
        "job_id",
        "queue_name",
        "state",
        "why",
        "age",
        "priority",
        "attempt",
        "claimed_by",
    )
    list_filter = ("state",)
    # Written out, as the admin's own "=" would ignore case and thereby the index.
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("age",)
    ordering = ("-pk",)
    deferred = ("payload", "outcome")
    readonly_fields = ("why", "age")
    fields = (
        "job_id",
        "queue_name",
        "state",
        "why",
        "priority",
        "redis_copy",
        "waits_for",
        "attempt",
        "rescues",
        "claimed_by",
        "due_at",
        "created_at",
        "age",
    )

    @admin.display(description=_("where it stands"))
    def why(self, row: FallbackJob) -> str:
        """Return in words what the job waits for, or who has it."""
        standing = row.standing(timezone.now())
        if standing is Standing.WAITS_FOR_TIME:
            due = date_format(timezone.localtime(row.due_at), "DATETIME_FORMAT")
            return f"{standing.label}, {due}"
        return str(standing.label)

    # Rows are numbered in the order in which they were made.
    @admin.display(description=_("age"), ordering="pk")
    def age(self, row: FallbackJob) -> str:
        """Return how long ago it was enqueued."""
        return timesince(row.created_at, depth=1)

    def get_queryset(self, request: HttpRequest) -> FallbackJobQuerySet:
        """Tell of each row whether its queue is paused, without a query for each."""
        rows = cast("FallbackJobQuerySet", super().get_queryset(request))
        return rows.with_pauses()
