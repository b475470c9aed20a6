"""The overview of somebody who sees a part of the letters: its numbers are of these alone."""

from __future__ import annotations

from dataclasses import replace

from django.db.models import QuerySet

from django_resilient_queue.health.reasons import judged
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status

from ..letters.seen import Seen
from .snapshot import Snapshot


def part_of(snapshot: Snapshot, letters: QuerySet[DeadLetter]) -> Snapshot:
    """Return how things stand with these letters, as if there were no others."""
    if snapshot.report.dead_letters is None:  # the database did not say
        return replace(snapshot, tables=replace(snapshot.tables, dead=None))
    seen = Seen(letters)
    dead = dict(seen.counts("queue_name", {"status": Status.DEAD.value}))
    is_cut = seen.is_cut(Status.DEAD)
    tables = replace(snapshot.tables, dead=dead, dead_is_capped=is_cut)
    return Snapshot(judged(replace(snapshot.report, dead_letters=seen.summary())), tables)
