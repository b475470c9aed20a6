"""The list of outages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import Outage

from .ended import EndedFilter
from .operation import Words
from .overview.wording import age
from .read_only import ReadOnlyAdmin


def _slowest(outage: Outage) -> str:
    return f"{outage.slowest_enqueue * 1000:.0f} ms" if outage.jobs_stored else "-"


def _length(outage: Outage) -> timedelta:
    return (outage.ended_at or timezone.now()) - outage.started_at


def _below(words: Words, shown: Callable[[Outage], Any]) -> Callable[[Outage], Any]:
    """Return what a column of the list shows, below a word that is short enough for it."""
    return admin.display(description=words)(lambda outage: shown(outage))


@admin.register(Outage)
class OutageAdmin(ReadOnlyAdmin):
    """When Redis was away, and what the database did meanwhile."""

    # As much of a line as fits beside the filters: its end is on the page of an outage.
    list_display = (
        "started_at",
        "lasted",
        "event",
        _below(_("stored"), attrgetter("jobs_stored")),
        _below(_("run"), attrgetter("jobs_executed")),
        _below(_("drained"), attrgetter("jobs_drained")),
        _below(_("lost"), attrgetter("jobs_lost")),
        _below(_("slowest"), _slowest),
    )
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
        words = age(_length(outage).total_seconds())
        return words if outage.ended_at else gettext("%(age)s so far") % {"age": words}

    @admin.display(description=_("what happened"))
    def event(self, outage: Outage) -> SafeString:
        """Return which Redis it was, and what it did."""
        words = '<span class="drq-name">{}</span> <span class="drq-words">{}</span>'
        return format_html(words, outage.broker, outage.cause)

    @admin.display(description=_("slowest enqueue"))
    def slowest(self, outage: Outage) -> str:
        """Return how long the slowest of those that were stored took its caller."""
        return _slowest(outage)

    @admin.display(description=_("duration"))
    def duration(self, outage: Outage) -> timedelta:
        """Return how long it lasted, or has lasted so far, in whole seconds."""
        return timedelta(seconds=round(_length(outage).total_seconds()))
