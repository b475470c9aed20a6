"""What is done to many letters at once: asked for on a page that says how many, and which."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from django_resilient_queue.admin.addresses import address
from django_resilient_queue.admin.columns import ago
from django_resilient_queue.admin.frame import away_since, frame
from django_resilient_queue.admin.record import done_and_recorded
from django_resilient_queue.exceptions import ResilientQueueError
from django_resilient_queue.recovery.counting import MOST, Count
from django_resilient_queue.recovery.selection import Selection

from .bulk_operations import BULK_OPERATIONS, BulkOperation, Chosen
from .choosing import query_of, selection_from, status_from
from .seen import is_narrowed

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Admin = ModelAdmin[Any]
else:
    Admin = object


class BulkMixin(Admin):
    """The pages of operations on many letters."""

    bulk_operations: tuple[BulkOperation, ...] = BULK_OPERATIONS

    def get_urls(self) -> list[URLPattern]:
        """Give each an address of its own."""
        own = [
            path(
                f"all/{each.name}/",
                self.admin_site.admin_view(partial(self.operate_on_all, operation=each)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{each.name}_all",
            )
            for each in self.bulk_operations
        ]
        return [*own, *super().get_urls()]

    def operate_on_all(self, request: HttpRequest, *, operation: BulkOperation) -> HttpResponseBase:
        """Say how many letters are meant, ask for confirmation, and do it once it is given."""
        if not (operation.is_permitted(request) and self.has_view_permission(request)):
            raise PermissionDenied
        chosen = Chosen(selection_from(request.GET), status_from(request.GET))
        shown = self.get_queryset(request)
        is_part = is_narrowed(shown)
        if is_part and _hides_some(shown, chosen, operation):
            messages.error(request, _("Some of these letters are not for you: narrow the list."))
            return HttpResponseRedirect(address(self, "changelist"))
        found = operation.count(chosen)
        if is_part and not found.is_exact:
            found = Count(MOST + 1, is_exact=False)  # beyond that the tally was asked
        form = operation.form(request.POST if request.method == "POST" else None, found.number)
        obstacles = {
            "is_too_many": operation.is_too_many(found.number),
            "has_grown": _has_grown(request.POST.get("count", ""), found.number),
        }
        can_be_done = found.number and not any(obstacles.values())
        if request.method == "POST" and form.is_valid() and can_be_done:
            meant = replace(chosen, number=found.number)
            return self._perform_on_all(request, meant, form, operation)
        return self._ask_about_all(request, chosen, operation, found, {"form": form, **obstacles})

    def bulk_address(self, operation: BulkOperation, selection: Selection, status: str = "") -> str:
        """Return the address of the page that asks about these letters, of one status or all."""
        return f"{address(self, f'{operation.name}_all')}?{query_of(selection, status)}"

    def _ask_about_all(
        self,
        request: HttpRequest,
        chosen: Chosen,
        operation: BulkOperation,
        found: Count,
        shown: dict[str, Any],
    ) -> TemplateResponse:
        context = {
            **frame(self, request, operation.label),
            **shown,
            "operation": operation,
            "count": found.number,
            "is_exact": found.is_exact,
            "is_run": operation.is_run(found.number),
            "sample": [(each, ago(each.died_at)) for each in operation.sample(chosen)],
            "away_since": away_since(),
        }
        template = "admin/django_resilient_queue/deadletter/bulk.html"
        return TemplateResponse(request, template, context)

    def _perform_on_all(
        self,
        request: HttpRequest,
        chosen: Chosen,
        form: forms.Form,
        operation: BulkOperation,
    ) -> HttpResponseBase:
        try:
            with done_and_recorded():
                done = operation.perform(self, request, chosen, form)
        except (ResilientQueueError, ValueError) as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(address(self, "changelist"))
        if isinstance(done.next, HttpResponseBase):
            return done.next
        messages.success(request, done.words)
        return HttpResponseRedirect(done.next)


def _hides_some(shown: QuerySet[Any], chosen: Chosen, operation: BulkOperation) -> bool:
    """Tell whether an admin of a project's own keeps some of them from this user, by a queryset
    that has less than all letters."""
    # As a list of keys to be in, PostgreSQL would read it anew for each of many letters.
    same = shown.filter(pk=OuterRef("pk"))
    return operation.letters(chosen).filter(~Exists(same)).order_by().exists()


def _has_grown(shown: str, number: int) -> bool:
    """Tell whether there are more letters than the page has *shown* that was confirmed: somebody
    has restored some, or some that died before were stored since. By their tally alone, nobody
    knows."""
    return shown.isdecimal() and int(shown[:9]) < number and int(shown[:9]) <= MOST
