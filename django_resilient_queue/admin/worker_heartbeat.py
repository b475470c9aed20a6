"""The list of workers, and a way to have one end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.conf import settings
from django_resilient_queue.dismissal import stop_worker
from django_resilient_queue.models import WorkerHeartbeat
from django_resilient_queue.models.worker_heartbeat import Mode

from .amounts import UNKNOWN, age, date_and_time
from .columns import ago, below, pill
from .operation import GRAVE, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin


class StopForm(forms.Form):
    """Asks nothing, and says which worker of the name the user has seen."""

    started_at = forms.CharField(widget=forms.HiddenInput, required=False)


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
    form_class = StopForm

    def is_offered(self, row: WorkerHeartbeat) -> bool:
        """Offer it once."""
        return not row.is_to_stop

    def form(self, request: HttpRequest, row: WorkerHeartbeat) -> forms.Form:
        """Have what is confirmed be of the worker that is shown."""
        sent = request.POST if request.method == "POST" else None
        return StopForm(sent, initial={"started_at": row.started_at.isoformat()})

    def perform(self, request: HttpRequest, row: WorkerHeartbeat, form: forms.Form) -> Words:
        """Ask it to. Raises ValueError when it is gone, or has been asked, or is another."""
        if form.cleaned_data["started_at"] != row.started_at.isoformat():
            raise ValueError(_("Another worker was started under this name: look at it first."))
        if not stop_worker(row.name, started_at=row.started_at):
            raise ValueError(_("The worker is gone, or was asked already."))
        return _("The worker ends after the jobs that it has in hand.")


class LifeFilter(admin.SimpleListFilter):
    """By whether a worker has been heard of within a lease, by this server's clock."""

    title = _("state")
    parameter_name = "alive"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Words]]:
        """Offer the two."""
        return [("yes", _("alive")), ("no", _("gone"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the one, or the other."""
        match self.value():
            case "yes":
                return queryset.filter(seen_at__gte=_heard_since())
            case "no":
                return queryset.filter(seen_at__lt=_heard_since())
        return queryset


# A worker of a newer version, in a rolling deployment, may have another.
_MODES: dict[str, Words] = {
    Mode.STARTING: _("starting"),
    Mode.REDIS: _("takes jobs from Redis"),
    Mode.DATABASE: _("takes jobs from the database"),
}


def _heard_since() -> datetime:
    return timezone.now() - timedelta(seconds=settings.LEASE)


def _seconds_since(moment: datetime) -> float:
    return (timezone.now() - moment).total_seconds()


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(OperationsMixin, ReadOnlyAdmin):
    """Which workers run, and which store each takes its jobs from."""

    nothing = _("None has started yet: manage.py rqworker does.")
    operations = (Stop(),)
    # As much of a line as fits beside the filters: which jobs they are is on a worker's page.
    list_display = ("worker", "standing", "jobs_in_hand", "served", "last_seen")
    list_filter = (LifeFilter, "mode")
    search_fields = ("name__exact",)
    search_help_text = _("A whole worker name")
    ordering = ("name",)
    readonly_fields = ("standing", "job_ids", "served", "seen")
    fields = (
        "name",
        "broker",
        "standing",
        "job_ids",
        "served",
        "hostname",
        "pid",
        "started_at",
        "seen",
    )

    @admin.display(description=_("name"), ordering="name")
    def worker(self, worker: WorkerHeartbeat) -> SafeString:
        """Return its name, and the machine and the process that somebody may have to look at."""
        return below(worker.name, f"{worker.hostname} {worker.pid}")

    @admin.display(description=_("state"), ordering="mode")
    def standing(self, worker: WorkerHeartbeat) -> Words:
        """Return whether it lives, where it takes its jobs from, and what was asked of it."""
        if worker.seen_at < _heard_since():
            words = _("not heard of for %s") % age(_seconds_since(worker.seen_at))
            return below(pill(_("gone"), GRAVE), words)
        asked = _("asked to stop") if worker.is_to_stop else ""
        return below(_MODES.get(worker.mode, worker.mode), asked)

    @admin.display(description=_("queues"))
    def served(self, worker: WorkerHeartbeat) -> str:
        """Return their names, as words that a line can be broken between."""
        return ", ".join(worker.queues.split(","))

    @admin.display(description=_("last seen"), ordering="seen_at")
    def last_seen(self, worker: WorkerHeartbeat) -> Words:
        """Return how long ago its heartbeat was written."""
        return ago(worker.seen_at)

    @admin.display(description=_("last seen"))
    def seen(self, worker: WorkerHeartbeat) -> SafeString:
        """Return the same, and when that was."""
        return below(ago(worker.seen_at), date_and_time(worker.seen_at))

    @admin.display(description=_("jobs in hand"))
    def jobs_in_hand(self, worker: WorkerHeartbeat) -> int:
        """Return how many jobs the worker has taken and not ended."""
        return len(worker.in_flight)

    @admin.display(description=_("jobs in hand"))
    def job_ids(self, worker: WorkerHeartbeat) -> str:
        """Return the ids of those jobs, without the tokens that go with them."""
        return ", ".join(job_id for job_id, _token in worker.in_flight) or UNKNOWN
