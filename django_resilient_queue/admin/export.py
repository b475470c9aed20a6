"""The list of exports: for whom, how far each is, until when it can be had."""

from __future__ import annotations

from collections.abc import Iterator

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.handlers.business.export.links import path_of
from django_resilient_queue.handlers.business.export.publishing import cancel_export
from django_resilient_queue.models import Export
from django_resilient_queue.models.export import ExportState

from .amounts import number
from .columns import ago, below
from .operation import GRAVE, Button, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin


class Cancel(Operation):
    """Stops the making of a file."""

    name = "cancel"
    permission = "cancel_export"
    label = _("Cancel export")
    question = _("Its worker stops after the page of rows that it is at. The user gets no file.")
    is_final = True
    look = GRAVE
    form_class = forms.Form

    def is_offered(self, row: Export) -> bool:
        """Offer it while the file is made."""
        return row.state == ExportState.RUNNING

    def perform(self, request: HttpRequest, row: Export, form: forms.Form) -> Words:
        """Cancel it. Raises ValueError when it has ended."""
        if not cancel_export(row.job_id):
            raise ValueError(_("The export has ended meanwhile."))
        return _("Cancelled.")


@admin.register(Export)
class ExportAdmin(OperationsMixin, ReadOnlyAdmin):
    """Which files were made for whom."""

    nothing = _("Nobody has asked for a file.")
    operations = (Cancel(),)
    list_display = ("contents", "user_key", "state", "extent", "requested", "expires")
    list_filter = ("state",)
    search_fields = ("user_key__exact", "job_id__exact")
    search_help_text = _("A whole user key or job id")
    sortable_by = ()
    ordering = ("-pk",)
    readonly_fields = ("volume",)
    # Neither token nor place: whoever has those may need no permission any more.
    fields = (
        "job_id",
        "user_key",
        "subject_key",
        "datasets",
        "file_format",
        "state",
        "rows",
        "volume",
        "sha256",
        "requested_at",
        "ended_at",
        "announced_at",
        "expires_at",
    )

    def links(self, request: HttpRequest, row: Export) -> Iterator[Button]:
        """Offer the file to the user that it was made for, and to nobody else."""
        if row.user_key == str(request.user.pk) and row.is_downloadable and (path := path_of(row)):
            yield Button(_("Download"), path)

    @admin.display(description=_("datasets"))
    def contents(self, export: Export) -> SafeString:
        """Return what is in it, and how it is written."""
        return below(export.title, export.file_format)

    @admin.display(description=_("rows"))
    def extent(self, export: Export) -> SafeString:
        """Return how many there are, and how large that makes the file."""
        return below(number(export.rows), self.volume(export) if export.size else "")

    @admin.display(description=_("requested"))
    def requested(self, export: Export) -> Words:
        """Return how long ago."""
        return ago(export.requested_at)

    @admin.display(description=_("expires"))
    def expires(self, export: Export) -> Words:
        """Return in which time, or how long ago."""
        return ago(export.expires_at)

    @admin.display(description=_("size"))
    def volume(self, export: Export) -> str:
        """Return the size of the file in words."""
        return filesizeformat(export.size)
