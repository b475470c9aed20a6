"""What is done to one letter."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_resilient_queue.admin.frame import away_since
from django_resilient_queue.admin.operation import GRAVE, MAIN, Operation, ReasonForm, Words
from django_resilient_queue.conf import settings
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.requeueing import discard, requeue, restore
from django_resilient_queue.stores.database import DatabaseStore

from .correction import Correct
from .exporting import exported
from .queue_choice import queue_choice
from .revealing import PERMISSION, Reveal
from .story import is_sound


class RequeueForm(ReasonForm):
    """Why, where to, and with how many attempts."""

    keep_attempts = forms.BooleanField(
        label=gettext_lazy("Count the attempts that it had"),
        required=False,
        help_text=gettext_lazy("Otherwise it has all of its retries again."),
    )

    def __init__(self, letter: DeadLetter, data: Any = None) -> None:
        super().__init__(data)
        self.fields["queue_name"] = queue_choice(letter)
        self.order_fields(["reason", "queue_name", "keep_attempts"])


class _OfLetter(Operation):
    """Letters of one status."""

    template_name = "admin/django_resilient_queue/deadletter/operation.html"
    status: ClassVar[Status]

    def is_offered(self, row: DeadLetter) -> bool:
        """Only in that status."""
        return row.status == self.status

    def context(self, request: HttpRequest, row: Any, form: forms.Form) -> dict[str, Any]:
        """Say when Redis is away."""
        return {"away_since": away_since()}


class Requeue(_OfLetter):
    """Has the job run again as it was."""

    name = "requeue"
    permission = "requeue_deadletter"
    label = gettext_lazy("Requeue")
    look = MAIN
    question = gettext_lazy("The job runs again as it was, under a new id.")
    status = Status.DEAD

    def is_offered(self, row: DeadLetter) -> bool:
        """Only what can be read, for what is not signed is never run."""
        return super().is_offered(row) and is_sound(row)

    def form(self, request: HttpRequest, row: DeadLetter) -> forms.Form:
        """Offer the queues that there are."""
        return RequeueForm(row, request.POST if request.method == "POST" else None)

    def perform(self, request: HttpRequest, row: DeadLetter, form: forms.Form) -> Words:
        """Requeue it."""
        job_id = requeue(row, by=request.user.get_username(), **form.cleaned_data)
        return _("Requeued as %(job)s.") % {"job": job_id}


def _put_away() -> str:
    days = settings.SETTLED_LETTER_RETENTION_DAYS
    words = ngettext(
        "The job is put away: nobody needs it. It can be restored for %d day.",
        "The job is put away: nobody needs it. It can be restored for %d days.",
        days,
    )
    return words % days


class Discard(_OfLetter):
    """Puts the letter away."""

    name = "discard"
    permission = "discard_deadletter"
    label = gettext_lazy("Discard")
    look = GRAVE
    question = lazy(_put_away, str)()
    status = Status.DEAD

    def perform(self, request: HttpRequest, row: DeadLetter, form: forms.Form) -> Words:
        """Discard it."""
        discard(row, by=request.user.get_username(), **form.cleaned_data)
        return _("Discarded.")


class Restore(_OfLetter):
    """Takes a discarded letter out again."""

    name = "restore"
    permission = "discard_deadletter"
    label = gettext_lazy("Restore")
    question = gettext_lazy("The letter is dead again, and waits for somebody to requeue it.")
    status = Status.DISCARDED

    def perform(self, request: HttpRequest, row: DeadLetter, form: forms.Form) -> Words:
        """Restore it."""
        restore(row, by=request.user.get_username(), **form.cleaned_data)
        return _("Restored.")


class Export(Operation):
    """Gives a file of the letter."""

    name = "export"
    permission = PERMISSION
    label = gettext_lazy("Export")
    question = gettext_lazy(
        "A file holds the whole job, with what is masked here; “manage.py dlq import” reads it. It"
        " is noted that you have taken it."
    )
    form_class = forms.Form

    def perform(self, request: HttpRequest, row: DeadLetter, form: forms.Form) -> Words:
        """Note who takes it."""
        return _("Exported.")

    def answer(
        self, request: HttpRequest, row: DeadLetter, page: dict[str, Any]
    ) -> StreamingHttpResponse:
        """Send the file."""
        _, file = exported(request, DatabaseStore().letters.filter(pk=row.pk))
        return file


OPERATIONS = (Requeue(), Correct(), Discard(), Restore(), Reveal(), Export())
