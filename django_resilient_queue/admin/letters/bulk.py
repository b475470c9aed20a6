"""What is done to many letters at once: asked for on a page that says how many, and which."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from django_resilient_queue.admin.columns import ago
from django_resilient_queue.admin.operation import done_and_logged
from django_resilient_queue.exceptions import ResilientQueueError
from django_resilient_queue.recovery.selection import Selection

from .bulk_operations import BULK_OPERATIONS, BulkOperation, Chosen
from .choosing import query_of, selection_from, status_from
from .story import away_since

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Admin = ModelAdmin[Any]
else:
    Admin = object

_APP = "django_resilient_queue"


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
            meant = replace(chosen, number=found.number)
            return self._perform_on_all(request, meant, form, operation)
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
            "is_run": operation.most_at_once is not None and found.number > operation.most_at_once,
            "sample": [(each, ago(each.died_at)) for each in operation.sample(chosen)],
            "away_since": away_since(),
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
            with done_and_logged():
                said, address = operation.perform(self, request, chosen, form)
        except (ResilientQueueError, ValueError) as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(self.list_address())
        if isinstance(address, HttpResponseBase):
            return address
        messages.success(request, said)
        return HttpResponseRedirect(address)
