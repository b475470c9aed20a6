"""What the pages answer while the database of the queue is away and that of the admin is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext as _

from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused, describe
from django_resilient_queue.reports import kept_out_of_reports
from django_resilient_queue.stores import patience
from django_resilient_queue.stores.guard import outside_transactions

from .frame import frame

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Admin = ModelAdmin[Any]
else:
    Admin = object

_AWAY = (OperationalError, InterfaceError, StoreRefused, StoreAmbiguous)


class AbsenceMixin(Admin):
    """Pages that say so, instead of being a server error."""

    @property
    def urls(self) -> list[URLPattern]:
        """Return the addresses of all pages, those of other mixins, too."""
        found: list[URLPattern] = self.get_urls()
        for each in found:
            # ATOMIC_REQUESTS would begin with a connection to the database.
            patient = outside_transactions(patience.bounded()(self._patient(each.callback)))
            each.callback = kept_out_of_reports(patient)
        return found

    def _patient(self, view: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                response: HttpResponseBase = view(request, *args, **kwargs)
                # A template asks for rows as well.
                return response.render() if isinstance(response, TemplateResponse) else response
            except _AWAY as error:
                if getattr(error, "store", "database") != "database":
                    raise
                return self._absence(request, error)

        return answer

    def _absence(self, request: HttpRequest, error: Exception) -> HttpResponseBase:
        try:
            if not self.has_view_permission(request):
                raise PermissionDenied from error
            context = {
                **frame(self, request, _("The database of the queue has failed")),
                "cause": describe(getattr(error, "cause", error)),
                "is_change": request.method == "POST",
            }
            template = "admin/django_resilient_queue/absence.html"
            return TemplateResponse(request, template, context, status=503).render()
        except (OperationalError, InterfaceError):  # it is the admin's own
            raise error from None
