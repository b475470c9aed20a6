"""What has come since of the letters that runs have requeued: of many, of the last ones alone.

Nothing counts them as they end, and a run may have a million: whoever asks has so many looked at as
somebody can wait for.
"""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, TextChoices
from django.utils.translation import gettext_lazy as _

from ..models import DeadLetter, RecoveryRun, RunItem
from ..models.dead_letter import Status
from ..models.recovery_run import Outcome
from ..stores.database import DatabaseStore

MOST = 5_000  # letters that are looked at: one by one, by their keys


class Fate(TextChoices):
    """What a requeued letter has come to."""

    RECOVERED = "recovered", _("recovered")
    AGAIN = "again", _("died again")
    WAITING = "waiting", _("no end known yet")


class Fates(NamedTuple):
    """How many of the letters that a run has requeued came to what; when there are more than MOST,
    of so many that it has requeued last, which *is_cut* says."""

    recovered: int
    again: int
    waiting: int
    is_cut: bool

    @property
    def total(self) -> int:
        """Of how many letters this is said."""
        return self.recovered + self.again + self.waiting


def fates_of(run: RecoveryRun) -> Fates:
    """Count the letters of a run by what they have come to."""
    items = RunItem.objects.using(DatabaseStore().alias)
    some, is_cut = last_of(items.filter(run=run, outcome=Outcome.REQUEUED))
    by_status = some.order_by().values_list("letter__status").annotate(number=Count("*"))
    counts = dict(by_status)
    pending = counts.get(Status.REQUEUED, 0)
    again = come_to(some, Fate.AGAIN).count() if pending else 0
    return Fates(counts.get(Status.RECOVERED, 0), again, pending - again, is_cut)


def last_of(items: QuerySet[RunItem]) -> tuple[QuerySet[RunItem], bool]:
    """Return the last MOST of what runs did with letters, and whether those are not all."""
    newest = items.order_by("-run_id", "-letter_id").values_list("run_id", "letter_id")
    edge = newest[MOST : MOST + 1].first()
    if edge is None:
        return items, False
    last_run, _letter = newest[:1][0]
    run, letter = edge
    later = Q(letter_id__gt=letter)
    if run == last_run:  # along the index of a run
        return items.filter(later, run_id=run), True
    return items.filter(Q(run_id__gt=run) | later, run_id__gte=run), True


def come_to(items: QuerySet[RunItem], fate: str) -> QuerySet[RunItem]:
    """Keep those whose letters have come to *fate*."""
    if fate == Fate.RECOVERED:
        return items.filter(letter__status=Status.RECOVERED)
    letters = DeadLetter.objects.using(DatabaseStore().alias)
    died_again = Exists(letters.filter(requeued_from=OuterRef("letter")))
    pending = items.filter(letter__status=Status.REQUEUED)
    return pending.filter(died_again if fate == Fate.AGAIN else ~died_again)
