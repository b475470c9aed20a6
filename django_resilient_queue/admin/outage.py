"""The list of outages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import Outage

from .amounts import age, number
from .causes import what_it_does
from .columns import ago, below
from .ended import EndedFilter
from .operation import Words
from .read_only import ReadOnlyAdmin


def _slowest(outage: Outage) -> str:
    return f"{outage.slowest_enqueue * 1000:.0f} ms" if outage.jobs_stored else "-"


def _stored(outage: Outage) -> SafeString:
    words = gettext("slowest %s") % _slowest(outage) if outage.jobs_stored else ""
    return below(number(outage.jobs_stored), words)


def _length(outage: Outage) -> timedelta:
    return (outage.ended_at or timezone.now()) - outage.started_at


def _below(words: Words, shown: Callable[[Outage], Any]) -> Callable[[Outage], Any]:
    """Return what a column of the list shows, below a word that is short enough for it."""
    return admin.display(description=words)(lambda outage: shown(outage))


def _count(words: Words, name: str) -> Callable[[Outage], Any]:
    return _below(words, lambda outage: number(getattr(outage, name)))


@admin.register(Outage)
class OutageAdmin(ReadOnlyAdmin):
    """When Redis was away, and what the database did meanwhile."""

    nothing = _("No process has found Redis away.")
    # As much of a line as fits beside the filters: its end is on the page of an outage.
    list_display = (
        "began",
        "lasted",
        "event",
        _below(_("stored"), _stored),
        _count(_("run"), "jobs_executed"),
        _count(_("drained"), "jobs_drained"),
        _count(_("lost"), "jobs_lost"),
    )
    list_filter = (("ended_at", EndedFilter), "started_at")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("began",)
    readonly_fields = ("event", "duration", "slowest")
    fields = (
        "broker",
        "started_at",
        "ended_at",
        "duration",
        "event",
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
        """Return which Redis it was, what it did, and how its client put that."""
        return below(f"Redis {outage.broker} {what_it_does(outage.cause)}", outage.cause)

    @admin.display(description=_("started"), ordering="started_at")
    def began(self, outage: Outage) -> SafeString:
        """Return when, and how long ago."""
        here = timezone.localtime(outage.started_at)
        return below(date_format(here, "SHORT_DATETIME_FORMAT"), ago(outage.started_at))

    @admin.display(description=_("slowest enqueue"))
    def slowest(self, outage: Outage) -> str:
        """Return how long the slowest of those that were stored took its caller."""
        return _slowest(outage)

    @admin.display(description=_("duration"))
    def duration(self, outage: Outage) -> str:
        """Return how long it lasted, or has lasted so far, to the second."""
        minutes, seconds = divmod(round(_length(outage).total_seconds()), 60)
        words = gettext("%d s") % seconds
        if not minutes:
            return words
        return f"{age(minutes * 60)} {words}" if minutes < 24 * 60 else age(minutes * 60)
