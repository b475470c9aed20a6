"""What is done to many letters at once: asked for on a page that says how many, and which."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_resilient_queue.admin.operation import ReasonForm, Words, log_of_many
from django_resilient_queue.conf import settings
from django_resilient_queue.exceptions import ResilientQueueError, RunAlreadyStarted
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import DeadLetterQuerySet, Status
from django_resilient_queue.recovery import discarding
from django_resilient_queue.recovery.counting import Count, count, letters_of
from django_resilient_queue.recovery.runs import FASTEST, start_run
from django_resilient_queue.recovery.selection import Selection

from . import exporting
from .choosing import query_of, selection_from, status_from
from .revealing import PERMISSION
from .story import address_of, present_outage

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


class Chosen(NamedTuple):
    """Letters that an address means: what they have in common, and the status of the list; an
    empty string where that showed all."""

    selection: Selection
    status: str


class RunForm(ReasonForm):
    """Why, how fast, and how many first."""

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
        label=gettext_lazy("First only"),
        min_value=0,
        max_value=1_000_000,
        help_text=gettext_lazy(
            "So many have to finish before the others follow. When one of them dies again, the run"
            " pauses by itself. 0 for all at once."
        ),
    )
    key = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)


class BulkOperation:
    """One thing that is done to many letters of one status."""

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    label: ClassVar[Words]
    question: ClassVar[Words]
    status: ClassVar[str] = Status.DEAD
    """Of which letters; an empty string for those that the list showed."""
    most: ClassVar[int | None] = None
    """How many at once; None for any number."""
    form_class: ClassVar[type[forms.Form]] = ReasonForm

    def is_permitted(self, request: HttpRequest) -> bool:
        """Tell whether the user may do it at all."""
        return all(request.user.has_perm(f"{_APP}.{name}") for name in self.permissions)

    def form(self, data: Any, count: int) -> forms.Form:
        """Return the form that the user confirms by."""
        return self.form_class(data)

    def sample(self, chosen: Chosen) -> DeadLetterQuerySet:
        """Return the newest of those that it would be done to."""
        some = letters_of(chosen.selection, self.status or chosen.status)
        return some.defer("payload", "traceback")[:_SAMPLE]

    def count(self, chosen: Chosen) -> Count:
        """Count them, no further than somebody waits for it."""
        return count(chosen.selection, self.status or chosen.status)

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Do it, and log it. Raises ResilientQueueError or ValueError when it can't be done."""
        raise NotImplementedError


class RequeueAll(BulkOperation):
    """Starts a recovery run."""

    name = "requeue"
    permissions = ("requeue_deadletter", "add_recoveryrun")
    label = gettext_lazy("Requeue")
    question = gettext_lazy("Workers requeue these letters, as one recovery run.")
    form_class = RunForm

    def form(self, data: Any, count: int) -> forms.Form:
        """Propose that a few of many go first."""
        return RunForm(data, initial={"canary": 5 if count > _FEW else 0})

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Start the run; workers carry it out."""
        given = form.cleaned_data
        try:
            run = start_run(chosen.selection, by=request.user.get_username(), **given)
        except RunAlreadyStarted as found:
            words = _("Recovery run %(run)d had been started already.") % {"run": found.run}
            return Done(words, self._page(admin, found.run))
        admin.log_addition(request, run, _("Started: %(reason)s") % {"reason": given["reason"]})
        words = _("Recovery run %(run)d has been started, of %(total)d letters.")
        return Done(words % {"run": run.pk, "total": run.total}, self._page(admin, run.pk))

    def _page(self, admin: Any, pk: int) -> str:
        page = address_of(f"{admin.admin_site.name}:{_APP}_recoveryrun_change", pk)
        return page or str(admin.list_address())


class DiscardAll(BulkOperation):
    """Puts them away."""

    name = "discard"
    permissions = ("discard_deadletter",)
    label = gettext_lazy("Discard")
    question = gettext_lazy(
        "These letters are put away: nobody needs their jobs. They can be restored for a while."
    )
    most = discarding.MOST

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Discard them in one transaction."""
        by = request.user.get_username()
        moved = discarding.discard_all(chosen.selection, by=by, **form.cleaned_data)
        words = ngettext("%(count)d letter discarded.", "%(count)d letters discarded.", moved)
        return Done(_logged(request, words, moved, chosen), admin.list_address())


class RestoreAll(BulkOperation):
    """Takes discarded ones out again."""

    name = "restore"
    permissions = ("discard_deadletter",)
    label = gettext_lazy("Restore")
    question = gettext_lazy("These letters are dead again, and wait for somebody to requeue them.")
    status = Status.DISCARDED
    most = discarding.MOST

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Restore them in one transaction."""
        by = request.user.get_username()
        moved = discarding.restore_all(chosen.selection, by=by, **form.cleaned_data)
        words = ngettext("%(count)d letter restored.", "%(count)d letters restored.", moved)
        return Done(_logged(request, words, moved, chosen), admin.list_address())


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

    def perform(self, admin: Any, request: HttpRequest, chosen: Chosen, form: Any) -> Done:
        """Send the file."""
        letters = letters_of(chosen.selection, chosen.status)
        number, file = exporting.exported(letters)
        words = ngettext("%(count)d letter exported.", "%(count)d letters exported.", number)
        said = _logged(request, words, number, chosen)
        return Done(said, file)


BULK_OPERATIONS = (RequeueAll(), DiscardAll(), RestoreAll(), ExportAll())


class BulkMixin(Admin):
    """The pages of operations on many letters."""

    bulk_operations: tuple[BulkOperation, ...] = BULK_OPERATIONS

    def get_urls(self) -> list[URLPattern]:
        """Give each an address of its own."""
        own = [
            path(
                f"all/{each.name}/",
                self.admin_site.admin_view(partial(self.operate_on_all, operation=each)),
                name=f"{_APP}_deadletter_{each.name}_all",
            )
            for each in self.bulk_operations
        ]
        return [*own, *super().get_urls()]

    def operate_on_all(self, request: HttpRequest, *, operation: BulkOperation) -> HttpResponseBase:
        """Say how many letters are meant, ask for confirmation, and do it once it is given."""
        if not (operation.is_permitted(request) and self.has_view_permission(request)):
            raise PermissionDenied
        chosen = Chosen(selection_from(request.GET), status_from(request.GET))
        found = operation.count(chosen)
        form = operation.form(request.POST if request.method == "POST" else None, found.number)
        is_too_many = operation.most is not None and found.number > operation.most
        if request.method == "POST" and form.is_valid() and found.number and not is_too_many:
            return self._perform_on_all(request, chosen, form, operation)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": operation.label,
            "opts": self.opts,
            "operation": operation,
            "form": form,
            "count": found.number,
            "is_exact": found.is_exact,
            "is_too_many": is_too_many,
            "sample": operation.sample(chosen),
            "present_outage": present_outage(),
        }
        template = "admin/django_resilient_queue/deadletter/bulk.html"
        return TemplateResponse(request, template, context)

    def bulk_address(self, operation: BulkOperation, selection: Selection, status: str = "") -> str:
        """Return the address of the page that asks about these letters, of one status or all."""
        name = f"{self.admin_site.name}:{_APP}_deadletter_{operation.name}_all"
        return f"{reverse(name)}?{query_of(selection, status)}"

    def list_address(self) -> str:
        """Return that of the list."""
        return reverse(f"{self.admin_site.name}:{_APP}_deadletter_changelist")

    def _perform_on_all(
        self,
        request: HttpRequest,
        chosen: Chosen,
        form: forms.Form,
        operation: BulkOperation,
    ) -> HttpResponseBase:
        try:
            with transaction.atomic(using=settings.DATABASE):
                said, address = operation.perform(self, request, chosen, form)
        except (ResilientQueueError, ValueError) as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(self.list_address())
        if isinstance(address, HttpResponseBase):
            return address
        messages.success(request, said)
        return HttpResponseRedirect(address)


def _logged(request: HttpRequest, words: str, count: int, chosen: Chosen) -> str:
    """Note what was done, once for all of them, with what they had in common."""
    said = words % {"count": count}
    log_of_many(request, DeadLetter, said, f"{said} {query_of(*chosen)}")
    return said
