"""The list of workers."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import WorkerHeartbeat

from .read_only import ReadOnlyAdmin


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Which workers run, and which store each takes its jobs from."""

    list_display = (
        "name",
        "mode",
        "jobs_in_hand",
        "queues",
        "hostname",
        "pid",
        "started_at",
        "seen_at",
    )
    list_filter = ("mode",)
    search_fields = ("name__exact",)
    search_help_text = _("A whole worker name")
    ordering = ("name",)
    readonly_fields = ("job_ids",)
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
    )

    @admin.display(description=_("jobs in hand"))
    def jobs_in_hand(self, worker: WorkerHeartbeat) -> int:
        """Return how many jobs the worker has taken and not ended."""
        return len(worker.in_flight)

    @admin.display(description=_("jobs in hand"), empty_value="-")
    def job_ids(self, worker: WorkerHeartbeat) -> str:
        """Return the ids of those jobs, without the tokens that go with them."""
        return ", ".join(job_id for job_id, _token in worker.in_flight)
