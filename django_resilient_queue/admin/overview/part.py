"""The overview of somebody who sees a part of the letters: its numbers are of these alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet

from django_resilient_queue.conf import settings
from django_resilient_queue.health import HealthReport, Status
from django_resilient_queue.health.reasons import reasons_for
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status as LetterStatus

from ..letters.seen import Seen
from .snapshot import Snapshot


def part_of(snapshot: Snapshot, letters: QuerySet[DeadLetter]) -> Snapshot:
    """Return how things stand with these letters, as if there were no others."""
    if snapshot.report.dead_letters is None:  # the database did not say
        return replace(snapshot, tables=replace(snapshot.tables, dead=None))
    seen = Seen(letters)
    dead = dict(seen.counts("queue_name", {"status": LetterStatus.DEAD.value}))
    is_cut = seen.is_cut(LetterStatus.DEAD)
    tables = replace(snapshot.tables, dead=dead, dead_is_capped=is_cut)
    return Snapshot(_judged(snapshot.report, seen.summary()), tables)


def _judged(report: HealthReport, letters: dict[str, Any]) -> HealthReport:
    report = replace(report, dead_letters=letters)
    reasons = reasons_for(report, settings.health_limits())
    ranked = (each.status for each in reasons)
    status = max(ranked, key=lambda each: each.rank, default=Status.HEALTHY)
    return replace(report, status=status, reasons=reasons)
