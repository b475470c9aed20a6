"""The outages of the overview: told in words, and their places in a timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_resilient_queue.facts.history import Span
from django_resilient_queue.models import Outage

from ..amounts import age, moment, number
from ..causes import what_it_does
from .snapshot import Snapshot

_MOST_SHOWN = 10  # outages
_WIDTH = 1000  # of the timeline, in units of its own
_NARROWEST = 4


@dataclass(frozen=True, slots=True)
class OutageLine:
    """An outage in words; ``left`` and ``width`` are its place in the timeline, of 1000."""

    broker: str
    began: str
    lasted: str
    is_open: bool
    cause: str
    stored: str
    executed: str
    drained: str
    lost: str
    address: str
    left: int
    width: int


def outages(snapshot: Snapshot, span: Span, page_of: Callable[[Model], str]) -> list[OutageLine]:
    """Return the outages of a span, the newest first, at most ten of them with their pages."""
    now, found = snapshot.report.checked_at, snapshot.tables.outages or ()
    since = now - span.length
    some = [each for each in found if each.ended_at is None or each.ended_at >= since]
    return [_outage(each, since, now, page_of) for each in some]


def shown(lines: Sequence[OutageLine]) -> Sequence[OutageLine]:
    """Return those that are told in words."""
    return lines[:_MOST_SHOWN]


def summary_of(snapshot: Snapshot, lines: Sequence[OutageLine], span_words: str) -> str:
    """Say what the timeline shows."""
    if snapshot.tables.outages is None:
        return _("The database did not say in time.")
    if not lines:
        return _("No outage in the last %s.") % span_words
    return ngettext(
        "%(count)d outage in the last %(span)s.",
        "%(count)d outages in the last %(span)s.",
        len(lines),
    ) % {"count": len(lines), "span": span_words}


def _outage(
    outage: Outage, since: datetime, now: datetime, page_of: Callable[[Model], str]
) -> OutageLine:
    ended = outage.ended_at or now
    length = (now - since).total_seconds()
    left = max((outage.started_at - since).total_seconds() / length, 0) * _WIDTH
    right = min((ended - since).total_seconds() / length, 1) * _WIDTH
    width = max(round(right - left), _NARROWEST)
    return OutageLine(
        outage.broker,
        moment(outage.started_at, now),
        age((ended - outage.started_at).total_seconds()),
        outage.ended_at is None,
        what_it_does(outage.cause),
        number(outage.jobs_stored),
        number(outage.jobs_executed),
        number(outage.jobs_drained),
        number(outage.jobs_lost),
        page_of(outage),
        min(round(left), _WIDTH - width),
        width,
    )
