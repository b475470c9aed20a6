"""The list of outages."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import Outage

from .ended import EndedFilter
from .overview.wording import age
from .read_only import ReadOnlyAdmin

_COUNTS = ("stored", "executed", "drained", "lost")


@admin.register(Outage)
class OutageAdmin(ReadOnlyAdmin):
    """When Redis was away, and what the database did meanwhile."""

    # As much of a line as fits beside the filters: its end is on the page of an outage.
    list_display = ("started_at", "lasted", "event", *_COUNTS, "longest")
    list_filter = (("ended_at", EndedFilter), "started_at")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("started_at",)
    readonly_fields = ("duration", "slowest")
    fields = (
        "broker",
        "started_at",
        "ended_at",
        "duration",
        "cause",
        "reported_by",
        "jobs_stored",
        "jobs_executed",
        "jobs_drained",
        "jobs_lost",
        "slowest",
    )

    @admin.display(description=_("lasted"))
    def lasted(self, outage: Outage) -> str:
        """Return how long, in words."""
        seconds = ((outage.ended_at or timezone.now()) - outage.started_at).total_seconds()
        return (
            age(seconds) if outage.ended_at else gettext("%(age)s so far") % {"age": age(seconds)}
        )

    @admin.display(description=_("what happened"))
    def event(self, outage: Outage) -> SafeString:
        """Return which Redis it was, and what it did."""
        words = '<span class="drq-name">{}</span> <span class="drq-words">{}</span>'
        return format_html(words, outage.broker, outage.cause)

    @admin.display(description=_("stored"))
    def stored(self, outage: Outage) -> int:
        """Return how many jobs the database accepted."""
        return outage.jobs_stored

    @admin.display(description=_("run"))
    def executed(self, outage: Outage) -> int:
        """Return how many ran from there."""
        return outage.jobs_executed

    @admin.display(description=_("drained"))
    def drained(self, outage: Outage) -> int:
        """Return how many went to Redis afterwards."""
        return outage.jobs_drained

    @admin.display(description=_("lost"))
    def lost(self, outage: Outage) -> int:
        """Return how many Redis alone had, and has no more."""
        return outage.jobs_lost

    @admin.display(description=_("slowest"))
    def longest(self, outage: Outage) -> str:
        """Return the same as `slowest`, below a shorter word."""
        return self.slowest(outage)

    @admin.display(description=_("slowest enqueue"))
    def slowest(self, outage: Outage) -> str:
        """Return how long the slowest of those that were stored took its caller."""
        return f"{outage.slowest_enqueue * 1000:.0f} ms" if outage.jobs_stored else "-"

    @admin.display(description=_("duration"))
    def duration(self, outage: Outage) -> timedelta:
        """Return how long it lasted, or has lasted so far, in whole seconds."""
        lasted = (outage.ended_at or timezone.now()) - outage.started_at
        return timedelta(seconds=round(lasted.total_seconds()))
