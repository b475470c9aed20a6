"""What a recovery run does and has done, told in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any

from django.utils.formats import localize
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_resilient_queue.conf import settings
from django_resilient_queue.models import DeadLetter, PausedQueue, RecoveryRun, RunItem
from django_resilient_queue.models.paused_queue import ALL
from django_resilient_queue.models.recovery_run import Deed
from django_resilient_queue.recovery.selection import Selection

from .amounts import number
from .operation import Words

_LOOKED_AT = 100  # letters of a canary, for their queues
_LIMITS = {"since": _("died since"), "until": _("died until")}

# A run of a newer version, in a rolling deployment, may have another deed.
_DONE: dict[str, Words] = {
    Deed.REQUEUE: _("%(count)s requeued"),
    Deed.DISCARD: _("%(count)s discarded"),
    Deed.RESTORE: _("%(count)s restored"),
}
_PATIENCE = _(
    "It waits until the jobs of the first %(count)s have finished: pause and resume it to have the "
    "others follow at once."
)


def percent_of(run: RecoveryRun) -> int:
    """Return how much of it is handled."""
    return 100 * run.handled // max(run.total, run.handled, 1)


def exceptions_of(run: RecoveryRun) -> str:
    """Say how many letters did not go as they should; nothing where all did."""
    counts = (
        (run.skipped, _("%s dealt with by others")),
        (run.refused, _("%s refused")),
    )
    return ", ".join(str(words) % number(count) for count, words in counts if count)


def progress_of(run: RecoveryRun) -> str:
    """Say how far it has come, and what it waits for."""
    words = ngettext(
        "%(status)s: of %(total)s letter %(done)s, %(skipped)s dealt with by others, "
        "%(refused)s refused",
        "%(status)s: of %(total)s letters %(done)s, %(skipped)s dealt with by others, "
        "%(refused)s refused",
        run.total,
    )
    handled = number(run.handled - run.skipped - run.refused)
    done = _DONE.get(run.deed, "%(count)s") % {"count": handled}
    counts = {name: number(getattr(run, name)) for name in ("total", "skipped", "refused")}
    words %= {"status": run.get_status_display().capitalize(), "done": done, **counts}
    if not run.waits_for_canary:
        return words
    patience = str(_PATIENCE % {"count": number(run.canary)})
    return " ".join([f"{words}.", patience, *_pauses(run)])


def _pauses(run: RecoveryRun) -> Iterator[str]:
    """Say which queues hold the canary up: its end may never come."""
    rows = RunItem.objects.using(settings.DATABASE).filter(run=run)
    names = set(rows.values_list("letter__queue_name", flat=True)[:_LOOKED_AT])
    paused = PausedQueue.objects.using(settings.DATABASE).names()
    if held := sorted(names if ALL in paused else names & paused):
        words = ngettext(
            "Their queue is paused: %(names)s.", "Their queues are paused: %(names)s.", len(held)
        )
        yield words % {"names": ", ".join(held)}


def criteria_of(run: RecoveryRun) -> Iterator[str]:
    """Say which letters it is of, a criterion after the other."""
    # In an order of ours: databases keep that of the keys, or do not.
    known = [field.name for field in fields(Selection)]
    for name in known:
        if name in run.selection:
            yield _criterion(name, run.selection[name])
    # Of a newer version: it is not of all letters.
    for name in sorted(run.selection.keys() - set(known)):
        yield f"{name} {run.selection[name]}"


def _criterion(name: str, value: Any) -> str:
    if name == "ids":
        return ngettext("%(count)d chosen letter", "%(count)d chosen letters", len(value)) % {
            "count": len(value)
        }
    if name in _LIMITS:
        return f"{_LIMITS[name]} {localize(localtime(datetime.fromisoformat(value)))}"
    field: Any = DeadLetter._meta.get_field(name)
    return f"{field.verbose_name} {dict(field.flatchoices).get(value, value)}"
