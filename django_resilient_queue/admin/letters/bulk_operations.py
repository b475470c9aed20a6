"""What can be done to many letters at once, and what is asked before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import uuid4

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from django_resilient_queue.admin.addresses import address, page_of
from django_resilient_queue.admin.operation import GRAVE, MAIN, ReasonForm, Words
from django_resilient_queue.admin.record import record_new, record_of_many
from django_resilient_queue.conf import settings
from django_resilient_queue.exceptions import RunAlreadyStarted
from django_resilient_queue.models import DeadLetter, RecoveryRun
from django_resilient_queue.models.dead_letter import DeadLetterQuerySet, Status
from django_resilient_queue.models.recovery_run import Deed
from django_resilient_queue.recovery import discarding
from django_resilient_queue.recovery.counting import Count, count, letters_of
from django_resilient_queue.recovery.facets import Facets
from django_resilient_queue.recovery.runs import FASTEST, MOST_CANARY, start_run
from django_resilient_queue.recovery.selection import Selection

from . import exporting
from .choosing import query_of
from .revealing import PERMISSION

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Admin = ModelAdmin[Any]
else:
    Admin = object

_APP = "django_resilient_queue"
_SAMPLE = 5
_FEW = 20  # letters; with more of them some go first


class Done(NamedTuple):
    """What was done, in words, and where the user goes next; or the answer itself."""

    words: Words
    next: str | HttpResponseBase


@dataclass(frozen=True, slots=True)
class Chosen:
    """Letters that an address means: what they have in common, and the status of the list; an
    empty string where that showed all. *number* says how many they are, once they are counted."""

    selection: Selection
    status: str
    number: int = 0
    facets: Facets = field(default_factory=Facets)
    """The tally, which each answer to a request reads once."""


class MoveForm(ReasonForm):
    """Why; and what tells a form that is sent twice."""

    key = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)


class RunForm(MoveForm):
    """How fast, and how many first."""

    rate = forms.FloatField(
        label=gettext_lazy("Letters a second"),
        min_value=0.001,
        max_value=FASTEST,
        initial=10,
        help_text=gettext_lazy(
            "Workers requeue no faster, so that what was mended is not flooded."
        ),
    )
    canary = forms.IntegerField(
        label=gettext_lazy("Canary"),
        min_value=0,
        max_value=MOST_CANARY,
        help_text=gettext_lazy(
            "So many letters go first, and their jobs have to finish before the others follow. When"
            " one of them dies again, the run pauses by itself. 0 for all at once."
        ),
    )


class BulkOperation:
    """One thing that is done to many letters of one status."""

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    label: ClassVar[Words]
    question: ClassVar[Words]
    said: ClassVar[Words]
    """That it was done at once, with a place for the number."""
    look: ClassVar[str] = ""
    """The class of its button."""
    status: ClassVar[str] = Status.DEAD
    """Of which letters; an empty string for those that the list showed."""
    most: ClassVar[int | None] = None
    """How many at once; None for any number."""
    form_class: ClassVar[type[forms.Form]] = ReasonForm

    def is_permitted(self, request: HttpRequest) -> bool:
        """Tell whether the user may do it at all."""
        return all(request.user.has_perm(f"{_APP}.{name}") for name in self.permissions)

    def is_too_many(self, number: int) -> bool:
        """Tell whether it is not done to so many."""
        return self.most is not None and number > self.most

    def is_run(self, number: int) -> bool:
        """Tell whether so many are too many to wait for: workers do it."""
        return False

    def form(self, data: Any, count: int) -> forms.Form:
        """Return the form that the user confirms by."""
        return self.form_class(data)

    def letters(self, chosen: Chosen) -> DeadLetterQuerySet:
        """Return those that it would be done to."""
        return letters_of(chosen.selection, self.status or chosen.status, chosen.facets)

    def sample(self, chosen: Chosen) -> DeadLetterQuerySet:
        """Return the newest of them."""
        return self.letters(chosen).defer("payload", "traceback")[:_SAMPLE]

    def count(self, chosen: Chosen) -> Count:
        """Count them, no further than somebody waits for it."""
        return count(chosen.selection, self.status or chosen.status, chosen.facets)

    def recorded(self, request: HttpRequest, number: int, chosen: Chosen) -> str:
        """Note what was done, once for all of them, with what they had in common; return it."""
        said = self.said % {"count": number}
        more = f"{said} {query_of(chosen.selection, chosen.status)}"
        record_of_many(request, self.name, DeadLetter, said, more)
        return said

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Do it, and record it. Raises ResilientQueueError or ValueError when it can't be done."""
        raise NotImplementedError


class _RunOperation(BulkOperation):
    deed: ClassVar[Deed]

    def start(self, admin: Any, request: HttpRequest, chosen: Chosen, **given: Any) -> Done:
        """Start a recovery run, once; workers carry it out."""
        by = request.user.get_username()
        try:
            run = start_run(chosen.selection, by=by, deed=self.deed, total=chosen.number, **given)
        except RunAlreadyStarted as found:
            words = _("Recovery run %(run)d had been started already.") % {"run": found.run}
            return Done(words, self._page(admin, request, found.run))
        started = _("Started: %(reason)s") % {"reason": given["reason"]}
        record_new(admin, request, self.name, run, started)
        words = _("Recovery run %(run)d has been started, of %(total)d letters.")
        words %= {"run": run.pk, "total": run.total}
        return Done(words, self._page(admin, request, run.pk))

    def _page(self, admin: Any, request: HttpRequest, pk: int) -> str:
        """Return the run's page; the list of letters, where there is none for this user."""
        found = page_of(admin.admin_site, request, RecoveryRun(pk=pk))
        return found or address(admin, "changelist")


class RequeueAll(_RunOperation):
    """Starts a recovery run."""

    name = "requeue"
    permissions = ("requeue_deadletter", "add_recoveryrun")
    label = gettext_lazy("Requeue")
    look = MAIN
    question = gettext_lazy("Workers requeue these letters, as one recovery run.")
    form_class = RunForm
    deed = Deed.REQUEUE

    def form(self, data: Any, count: int) -> forms.Form:
        """Propose that a few of many go first."""
        return self.form_class(data, initial={"canary": 5 if count > _FEW else 0})

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Start the run."""
        return self.start(admin, request, chosen, **form.cleaned_data)


class _MoveAll(_RunOperation):
    """Gives them another status: at once, or by a run where they are too many to wait for."""

    permissions = ("discard_deadletter",)
    form_class = MoveForm
    move: ClassVar[Callable[..., int]]
    """Does it at once, and returns to how many."""

    def is_run(self, number: int) -> bool:
        """More than fit into one transaction."""
        return number > discarding.MOST

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Do it in one transaction, or start the run. Raises ValueError when others have dealt
        with all of them meanwhile."""
        given = form.cleaned_data
        if self.is_run(chosen.number):
            return self.start(admin, request, chosen, rate=FASTEST, **given)
        by = request.user.get_username()
        moved = self.move(chosen.selection, by=by, reason=given["reason"])
        if not moved:
            raise ValueError(_("These letters have changed meanwhile: nothing was done."))
        return Done(self.recorded(request, moved, chosen), address(admin, "changelist"))


def _put_away() -> str:
    days = settings.SETTLED_LETTER_RETENTION_DAYS
    words = ngettext(
        "These letters are put away: nobody needs their jobs. They can be restored for %d day.",
        "These letters are put away: nobody needs their jobs. They can be restored for %d days.",
        days,
    )
    return words % days


class DiscardAll(_MoveAll):
    """Puts them away."""

    name = "discard"
    label = gettext_lazy("Discard")
    look = GRAVE
    question = lazy(_put_away, str)()
    deed = Deed.DISCARD
    move = staticmethod(discarding.discard_all)
    said = ngettext_lazy("%(count)d letter discarded.", "%(count)d letters discarded.", "count")


class RestoreAll(_MoveAll):
    """Takes discarded ones out again."""

    name = "restore"
    label = gettext_lazy("Restore")
    question = gettext_lazy("These letters are dead again, and wait for somebody to requeue them.")
    status = Status.DISCARDED
    deed = Deed.RESTORE
    move = staticmethod(discarding.restore_all)
    said = ngettext_lazy("%(count)d letter restored.", "%(count)d letters restored.", "count")


class ExportAll(BulkOperation):
    """Gives a file of them."""

    name = "export"
    permissions = (PERMISSION,)
    label = gettext_lazy("Export")
    question = gettext_lazy(
        "A file holds the whole jobs, with what is masked here; “manage.py dlq import” reads it. It"
        " is noted that you have taken it."
    )
    status = ""
    most = exporting.MOST
    form_class = forms.Form
    said = ngettext_lazy("%(count)d letter exported.", "%(count)d letters exported.", "count")

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Send the file."""
        number, file = exporting.exported(request, self.letters(chosen))
        return Done(self.recorded(request, number, chosen), file)


BULK_OPERATIONS = (RequeueAll(), DiscardAll(), RestoreAll(), ExportAll())
