"""What happened to a job, told in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_rq.settings import get_queues_map

from django_resilient_queue.admin.addresses import address_of
from django_resilient_queue.admin.amounts import age
from django_resilient_queue.exceptions import UndecodableSnapshot
from django_resilient_queue.failures import passages
from django_resilient_queue.models import DeadLetter, Outage
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.stores.database import DatabaseStore

MOST_ATTEMPTS = 10  # that are shown with their tracebacks, the newest
LONGEST_MESSAGE = 2000  # characters

_REASONS = {
    "raised": gettext_lazy("It raised an error, and has no attempt left."),
    "retries_exceeded": gettext_lazy("It asked for more retries than it may have."),
    "timeout": gettext_lazy("It took longer than its time limit."),
    "killed": gettext_lazy("Its process was killed, by a signal or for lack of memory."),
    "abandoned": gettext_lazy("Its worker vanished in the middle of it."),
    "undecodable": gettext_lazy("What was stored of it can’t be decoded."),  # noqa: RUF001
    "not_importable": gettext_lazy("No worker could import its function."),
    "expired": gettext_lazy("No worker started it within its time to live."),
    "unknown_queue": gettext_lazy("Its queue is not among those of this project."),
}
_ADVICE = {
    "timeout": gettext_lazy("Requeue it once what it waits for is quick again."),
    "connection": gettext_lazy("Requeue it once what it could not reach is back."),
    "validation": gettext_lazy("Its arguments may be wrong: correct them, and requeue it so."),
    "permission": gettext_lazy("Give what it lacks, such as a key or a right; then requeue it."),
    "not_found": gettext_lazy("Make what it misses, or correct its arguments; then requeue it."),
    "resource": gettext_lazy("Make room, or wait for a limit to pass; then requeue it."),
    "other": gettext_lazy("Mend the cause, or correct its arguments; then requeue it."),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that failed."""

    number: int  # from 1
    ended_at: datetime
    seconds: float | None
    worker_name: str
    error: str
    message: str
    traceback: str

    @property
    def has_own_code(self) -> bool:
        """Tell whether a line of the traceback is of the project's own code."""
        return any(is_own for is_own, _ in self.passages)

    @property
    def passages(self) -> Sequence[tuple[bool, str]]:
        """The traceback, cut where the project's own code begins and ends."""
        return passages(self.traceback)


def reason_of(letter: DeadLetter) -> str:
    """Say why the job is dead."""
    return str(_REASONS.get(letter.reason, letter.reason))


def advice_on(letter: DeadLetter) -> str:
    """Say what may be done now."""
    if letter.status != Status.DEAD:
        return ""
    if letter.reason == "unknown_queue":
        return _("Requeue it to another queue.")
    return str(_ADVICE.get(letter.category, ""))


def fate_of(letter: DeadLetter) -> str:
    """Say what has become of the letter."""
    who = {"by": letter.changed_by or _("somebody"), "job": letter.requeued_as}
    return {
        Status.DEAD: _("It waits for somebody to requeue or discard it."),
        Status.REQUEUED: _("Requeued by %(by)s as %(job)s, which has not finished yet.") % who,
        Status.RECOVERED: _("Requeued by %(by)s as %(job)s, which has finished.") % who,
        Status.DISCARDED: _("Discarded by %(by)s.") % who,
    }[Status(letter.status)]


def is_sound(letter: DeadLetter) -> bool:
    """Tell whether the job that was stored can be trusted, and so be run."""
    try:
        return bool(letter.snapshot)
    except UndecodableSnapshot:
        return False


def attempts_of(letter: DeadLetter) -> list[Attempt]:
    """Return those that are known, the newest first and of many the newest; a letter that has none
    says itself what it died of."""
    found = [
        Attempt(
            each.number + 1,
            each.ended_at,
            (each.ended_at - each.started_at).total_seconds() if each.started_at else None,
            each.worker_name,
            each.error_class,
            each.message[:LONGEST_MESSAGE],
            each.traceback,
        )
        for each in letter.history.order_by("-number")[:MOST_ATTEMPTS]
    ]
    return found or [_only_attempt(letter)]


def family_of(letter: DeadLetter, shown: QuerySet[DeadLetter]) -> Iterator[tuple[str, DeadLetter]]:
    """Return those of some letters that this one's job was requeued from, and died as again."""
    letters = shown.defer("payload", "message", "traceback")
    around = Q(requeued_from=letter.pk)
    if letter.requeued_from_id is not None:
        around |= Q(pk=letter.requeued_from_id)
    for each in letters.filter(around).order_by("pk")[:20]:
        is_older = each.pk == letter.requeued_from_id
        yield (_("Requeued from") if is_older else _("Died again as")), each


def outage_of(letter: DeadLetter) -> Outage | None:
    """Return the outage of Redis in which the job died, or which it lived through."""
    begun = letter.enqueued_at or letter.died_at
    outages = Outage.objects.using(DatabaseStore().alias).filter(started_at__lte=letter.died_at)
    within = outages.lasting() | outages.filter(ended_at__gte=begun)
    return within.order_by("-started_at").first()


def dashboard_address(queue_name: str, job_id: str | None, site_name: str) -> str:
    """Return where django-rq shows a job; empty where it is not in these addresses."""
    index = get_queues_map().get(queue_name)
    if index is None or not job_id:
        return ""
    names = ("django_rq:job_detail", f"{site_name}:django_rq_job_detail")
    return next(filter(None, (address_of(name, index, job_id) for name in names)), "")


def _only_attempt(letter: DeadLetter) -> Attempt:
    return Attempt(
        max(letter.attempts, 1),
        letter.died_at,
        None,
        letter.worker_name,
        letter.error_class,
        letter.message[:LONGEST_MESSAGE],
        letter.traceback,
    )


def context_of(letter: DeadLetter, shown: QuerySet[DeadLetter], site_name: str) -> dict[str, Any]:
    """Return what a letter's page says, and of other letters than those *shown* to its user
    nothing."""
    attempts = attempts_of(letter)
    return {
        "ago": age((timezone.now() - letter.died_at).total_seconds()),
        "reason_words": reason_of(letter),
        "advice": advice_on(letter),
        "fate": fate_of(letter),
        "attempts": attempts,
        "has_own_code": any(attempt.has_own_code for attempt in attempts),
        "older_attempts": max(letter.attempts - len(attempts), 0),
        "family": list(family_of(letter, shown)),
        "outage": outage_of(letter),
        "job_address": dashboard_address(letter.queue_name, letter.job_id, site_name),
        "new_job_address": dashboard_address(letter.queue_name, letter.requeued_as, site_name),
    }
