"""Pausing queues from the overview, and resuming them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.conf import settings
from django_resilient_queue.models import Overview, PausedQueue
from django_resilient_queue.models.overview import EVERY_QUEUE
from django_resilient_queue.pauses import pause, resume

from ..operation import Operation, Words, require_change


def find_queue(name: str, known: set[str]) -> Overview | None:
    """Return a queue of that name, or all of them, as they stand now."""
    if name != EVERY_QUEUE and name not in known:
        return None
    paused = PausedQueue.objects.using(settings.DATABASE).names()
    row = Overview(queue_name=name)
    row.is_paused = row.pause_name in paused
    row.has_pause = bool(paused) if name == EVERY_QUEUE else row.is_paused
    return row


class Pause(Operation):
    """Begins a pause."""

    name = "pause"
    permission = "pause_queue"
    label = _("Pause")
    question = _("Jobs are accepted and wait; those that run go on. It lasts until it is resumed.")

    def is_offered(self, row: Overview) -> bool:
        """Not what is paused already."""
        return not row.is_paused

    def context(self, request: HttpRequest, row: Overview, form: forms.Form) -> dict[str, Any]:
        """Name the queue on top."""
        return {"title": _("Pause %s") % row}

    def perform(self, request: HttpRequest, row: Overview, form: forms.Form) -> Words:
        """Pause the queue, or all. Raises ValueError when somebody else did meanwhile."""
        words = {"reason": form.cleaned_data["reason"], "by": request.user.get_username()}
        require_change(pause(row.pause_name, **words), row)
        return _("Paused: %s.") % row


class Resume(Operation):
    """Ends a pause."""

    name = "resume"
    permission = "pause_queue"
    label = _("Resume")
    question = _("Workers take jobs from it again, at once.")
    form_class = forms.Form

    def is_offered(self, row: Overview) -> bool:
        """Only what is paused."""
        return row.has_pause

    def context(self, request: HttpRequest, row: Overview, form: forms.Form) -> dict[str, Any]:
        """Name the queue on top."""
        return {"title": _("Resume %s") % row}

    def perform(self, request: HttpRequest, row: Overview, form: forms.Form) -> Words:
        """Resume the queue; for all of them each single pause ends, too. Raises ValueError when
        somebody else did meanwhile."""
        require_change(resume(row.pause_name), row)
        return _("Resumed: %s.") % row
