"""When the letters of a group died, for a small picture; read from its newest letters alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..stores.database import DatabaseStore

SPAN = timedelta(days=7)
BINS = 28  # of six hours each
NEWEST = 500  # letters that are read


@dataclass(frozen=True, slots=True)
class Timeline:
    """How many letters died in each of BINS equal parts of the last SPAN, the oldest part first.
    *is_cut* says that only the NEWEST were counted."""

    counts: Sequence[int]
    is_cut: bool

    @property
    def total(self) -> int:
        """How many that are."""
        return sum(self.counts)


def timeline(fingerprint: str, now: datetime) -> Timeline:
    """Count the dead letters of one group over the last days."""
    letters = DatabaseStore().letters.dead().filter(fingerprint=fingerprint)
    recent = letters.filter(died_at__gt=now - SPAN, died_at__lte=now).order_by("-died_at")
    moments = list(recent.values_list("died_at", flat=True)[:NEWEST])
    counts = [0] * BINS
    for moment in moments:
        counts[min(int((moment - (now - SPAN)) / SPAN * BINS), BINS - 1)] += 1
    return Timeline(counts, len(moments) == NEWEST)
