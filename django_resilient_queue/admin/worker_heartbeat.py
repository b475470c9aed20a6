"""The list of workers, and a way to have one end."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.dismissal import stop_worker
from django_resilient_queue.models import WorkerHeartbeat

from .operation import GRAVE, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin


class Stop(Operation):
    """Has a worker end."""

    name = "stop"
    permission = "stop_worker"
    label = _("Stop after this job")
    question = _(
        "The worker finishes the jobs that it has in hand and ends. Whatever started it may start "
        "another."
    )
    is_final = True
    look = GRAVE
    form_class = forms.Form

    def is_offered(self, row: WorkerHeartbeat) -> bool:
        """Offer it once."""
        return not row.is_to_stop

    def perform(self, request: HttpRequest, row: WorkerHeartbeat, form: forms.Form) -> Words:
        """Ask it to. Raises ValueError when it is gone, or has been asked."""
        if not stop_worker(row.name):
            raise ValueError(_("The worker is gone, or was asked already."))
        return _("The worker ends after the jobs that it has in hand.")


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(OperationsMixin, ReadOnlyAdmin):
    """Which workers run, and which store each takes its jobs from."""

    operations = (Stop(),)
    list_display = (
        "name",
        "mode",
        "jobs_in_hand",
        "queues",
        "hostname",
        "pid",
        "started_at",
        "last_seen",
        "is_to_stop",
    )
    list_filter = ("mode",)
    search_fields = ("name__exact",)
    search_help_text = _("A whole worker name")
    ordering = ("name",)
    readonly_fields = ("job_ids", "is_to_stop")
    fields = (
        "name",
        "broker",
        "mode",
        "job_ids",
        "queues",
        "hostname",
        "pid",
        "started_at",
        "seen_at",
        "is_to_stop",
    )

    @admin.display(description=_("last seen"))
    def last_seen(self, worker: WorkerHeartbeat) -> Words:
        """Return how long ago its heartbeat was written."""
        return _("%(time)s ago") % {"time": timesince(worker.seen_at, depth=1)}

    @admin.display(description=_("jobs in hand"))
    def jobs_in_hand(self, worker: WorkerHeartbeat) -> int:
        """Return how many jobs the worker has taken and not ended."""
        return len(worker.in_flight)

    @admin.display(description=_("jobs in hand"), empty_value="-")
    def job_ids(self, worker: WorkerHeartbeat) -> str:
        """Return the ids of those jobs, without the tokens that go with them."""
        return ", ".join(job_id for job_id, _token in worker.in_flight)
