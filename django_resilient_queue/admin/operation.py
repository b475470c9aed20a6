"""What people do from the pages of the admin: one thing to one row, confirmed by a form and logged.

An operation has a permission of its own. Who lacks it is shown no button, and a request that they
make by hand is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.exceptions import ResilientQueueError, StoreAmbiguous, StoreError

from .addresses import address, page
from .frame import frame
from .record import done_and_recorded, is_log_beside, not_done, not_known, note, ordered, record

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.utils.functional import _StrPromise

    Admin = ModelAdmin[Any]
else:
    Admin = object

Words: TypeAlias = "str | _StrPromise"
"""What `gettext_lazy` returns, or is given."""
_APP = "django_resilient_queue"
# Classes of buttons: of what is meant most often, and of what takes something away.
MAIN, GRAVE = "drq-main", "drq-grave"


class ReasonForm(forms.Form):
    """Asks why, for whoever looks at it later."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=255,
        required=False,
        help_text=_("Kept with the change, for whoever looks at it later."),
    )


class Operation:
    """What can be done to a row; a class for each, in the module of its model's pages."""

    name: ClassVar[str]
    """In the address of its page."""
    permission: ClassVar[str]
    """The codename of what a user must have."""
    label: ClassVar[Words]
    """On its button."""
    question: ClassVar[Words]
    """What the user confirms, and what will come of it."""
    is_final: ClassVar[bool] = False
    """Whether it can't be undone."""
    look: ClassVar[str] = ""
    """The class of its button."""
    is_atomic: ClassVar[bool] = True
    """Whether it is done in the database of the queue alone, as one transaction; else it is noted
    that it was ordered before anything is done, as whoever does it may die over it."""
    removes_row: ClassVar[bool] = False
    """Whether the row is gone afterwards, so that its list is shown next."""
    form_class: ClassVar[type[forms.Form]] = ReasonForm
    template_name: ClassVar[str] = "admin/django_resilient_queue/operation.html"

    def is_permitted(self, request: HttpRequest) -> bool:
        """Tell whether the user may do it at all."""
        return request.user.has_perm(f"{_APP}.{self.permission}")

    def is_offered(self, row: Any) -> bool:
        """Tell whether it makes sense for that row as it is now."""
        return True

    def form(self, request: HttpRequest, row: Any) -> forms.Form:
        """Return the form that the user confirms by, filled in when it was sent."""
        # Not "or None": what is sent for a form without fields may be empty.
        return self.form_class(request.POST if request.method == "POST" else None)

    def seen(self, form: forms.Form) -> tuple[str, Words] | None:
        """Return what the form shows that is to be noted: the name of what was done by that, and
        the words; None for nothing."""
        return None

    def context(self, request: HttpRequest, row: Any, form: forms.Form) -> dict[str, Any]:
        """Return what the template shows besides."""
        return {}

    def is_confirmed(self, request: HttpRequest, form: forms.Form) -> bool:
        """Tell whether the user has seen all there is to see before it is done."""
        return True

    def perform(self, request: HttpRequest, row: Any, form: forms.Form) -> Words:
        """Do it, and return what was done. Raises ResilientQueueError or ValueError, with words for
        the user, when it can't be done: nothing has changed then."""
        raise NotImplementedError

    def answer(
        self, request: HttpRequest, row: Any, page: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Return what is shown once it is done; None for the row, with what was done on top. *page*
        is the context of a page of the admin."""
        return None


def require_change(won: object, row: Model) -> None:
    """Raise ValueError, with words for the user, when a guarded change has found nothing to do."""
    if not won:
        raise ValueError(_meanwhile(row))


def _meanwhile(row: Model) -> str:
    return _("“%(row)s” has changed meanwhile.") % {"row": row}


class Button(NamedTuple):
    """A link above a row, in words."""

    label: Words
    address: str
    look: str = ""


class OperationsMixin(Admin):
    """Pages of rows that something can be done to."""

    operations: tuple[Operation, ...] = ()
    change_form_template = "admin/django_resilient_queue/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Give each operation an address below that of its row."""
        # Before the admin's own, the last of which takes all addresses.
        return [*(self._url(each) for each in self.operations), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the row, with a button for each thing that this user can do to it."""
        row = self.get_object(request, unquote(object_id))
        buttons = [] if row is None else list(self._buttons(request, row))
        context = {**(extra_context or {}), "operations": buttons}
        return super().change_view(request, object_id, form_url, context)

    def operate(
        self, request: HttpRequest, object_id: str, *, operation: Operation
    ) -> HttpResponseBase:
        """Ask for confirmation, and do it once the user gave it."""
        row = self.get_object(request, unquote(object_id))
        if not (operation.is_permitted(request) and self.has_view_permission(request, row)):
            raise PermissionDenied
        if row is None:
            raise Http404(_("There is no such row, or no longer."))
        if not operation.is_offered(row):
            messages.error(request, _meanwhile(row))
            return HttpResponseRedirect(self._page_of(row))
        try:
            form = operation.form(request, row)
        except (ResilientQueueError, ValueError) as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(self._page_of(row))
        if seen := operation.seen(form):
            name, said = seen
            record(self, request, name, row, said)
        is_ready = request.method == "POST" and form.is_valid()
        if is_ready and operation.is_confirmed(request, form):
            return self._perform(request, row, operation, form)
        return self._ask(request, row, operation, form)

    def _perform(
        self, request: HttpRequest, row: Model, operation: Operation, form: forms.Form
    ) -> HttpResponseBase:
        try:
            if not self._is_recorded_with(operation):
                note(self, request, row, ordered(operation.label))
            said = self._do(request, row, operation, form)
        except (ResilientQueueError, ValueError) as refusal:
            self._refuse(request, row, operation, refusal)
        else:
            answer = operation.answer(request, row, self._context(request, row, operation))
            if answer is not None:
                return answer
            messages.success(request, said)
        is_gone = operation.removes_row
        return HttpResponseRedirect(address(self, "changelist") if is_gone else self._page_of(row))

    def _do(
        self, request: HttpRequest, row: Model, operation: Operation, form: forms.Form
    ) -> Words:
        # No store is waited for in a transaction.
        with done_and_recorded() if operation.is_atomic else nullcontext():
            said = operation.perform(request, row, form)
            record(self, request, operation.name, row, said)
        return said

    def _refuse(
        self, request: HttpRequest, row: Model, operation: Operation, refusal: Exception
    ) -> None:
        said = str(refusal)
        if self._is_uncertain(operation, refusal):
            # It may be done yet: then that is known whose wish it was.
            said = not_known(operation.label, said)
            record(self, request, operation.name, row, said)
        elif not self._is_recorded_with(operation):
            note(self, request, row, not_done(operation.label, said))
        messages.error(request, said)

    def _is_uncertain(self, operation: Operation, refusal: Exception) -> bool:
        if not isinstance(refusal, StoreError):
            return False
        if refusal.store == "redis":
            return isinstance(refusal, StoreAmbiguous)
        # Redis, or another database, has perhaps done its part.
        return not self._is_recorded_with(operation)

    @staticmethod
    def _is_recorded_with(operation: Operation) -> bool:
        """Tell whether what is done and the entry about it are of one transaction."""
        return operation.is_atomic and is_log_beside()

    def _ask(
        self, request: HttpRequest, row: Model, operation: Operation, form: forms.Form
    ) -> HttpResponse:
        context = {
            **self._context(request, row, operation),
            "form": form,
            **operation.context(request, row, form),
        }
        return TemplateResponse(request, operation.template_name, context)

    def _context(self, request: HttpRequest, row: Model, operation: Operation) -> dict[str, Any]:
        """Return what every page of an operation shows."""
        return {
            **frame(self, request, operation.label),
            "object": row,
            "object_address": self._page_of(row),
            "operation": operation,
        }

    def links(self, request: HttpRequest, row: Any) -> Iterator[Button]:
        """Say where else the user may want to go from a row."""
        yield from ()

    def _buttons(self, request: HttpRequest, row: Model) -> Iterator[Button]:
        for each in self.operations:
            if each.is_permitted(request) and each.is_offered(row):
                yield Button(each.label, address(self, each.name, quote(row.pk)), each.look)
        yield from self.links(request, row)

    def _url(self, operation: Operation) -> URLPattern:
        view = self.admin_site.admin_view(partial(self.operate, operation=operation))
        name = f"{self.opts.app_label}_{self.opts.model_name}_{operation.name}"
        return path(f"<path:object_id>/{operation.name}/", view, name=name)

    def _page_of(self, row: Model) -> str:
        return page(self, row)
