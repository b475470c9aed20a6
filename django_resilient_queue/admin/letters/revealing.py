"""Looking at what is masked: by who may, each time on purpose, and with a note of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_resilient_queue.admin.operation import Operation, Words
from django_resilient_queue.models import DeadLetter

from .changes import pretty

PERMISSION = "view_sensitive_payload"


def may_reveal(request: HttpRequest) -> bool:
    """Tell whether the user may see what is masked."""
    return request.user.has_perm(f"django_resilient_queue.{PERMISSION}")


class Reveal(Operation):
    """Shows a job with its secrets."""

    name = "reveal"
    permission = PERMISSION
    label = gettext_lazy("Reveal")
    question = gettext_lazy("What is masked is shown once, and it is noted that you have looked.")

    def perform(self, request: HttpRequest, row: DeadLetter, form: forms.Form) -> Words:
        """Note who looks, and why."""
        if reason := form.cleaned_data["reason"]:
            return _("Looked at what is masked: %(reason)s") % {"reason": reason}
        return _("Looked at what is masked.")

    def answer(
        self, request: HttpRequest, row: DeadLetter, page: dict[str, Any]
    ) -> TemplateResponse:
        """Show it, in answer to this request alone."""
        template = "admin/django_resilient_queue/deadletter/revealed.html"
        return TemplateResponse(request, template, {**page, "job": pretty(row.revealed)})
