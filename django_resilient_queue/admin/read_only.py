"""What all lists have in common: they show, and cost the same however long the table is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from django_resilient_queue.conf import settings

from .absence import AbsenceMixin
from .frame import away_since
from .operation import Words
from .paginator import CappedPaginator
from .row_list import RowList, narrows

# Only the stubs' ModelAdmin takes a parameter.
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    BaseModelAdmin = admin.options.BaseModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    BaseModelAdmin = object


class _ReadOnly(BaseModelAdmin):
    """What a page and a table within a page have in common."""

    # Large columns that a list of rows must not load; those that `fields` lacks are never loaded.
    deferred: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the configured database, without the large columns."""
        return super().get_queryset(request).using(settings.DATABASE).defer(*self.deferred)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are made by the queue."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows change by guarded updates: a form would write back what it read a minute ago."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A deleted row would be a lost job."""
        return False


class ReadOnlyInline(_ReadOnly, TabularInline):
    """Rows of another table on the page of the row that they belong to."""

    can_delete = False
    extra = 0
    template = "admin/django_resilient_queue/rows.html"


class ReadOnlyAdmin(AbsenceMixin, _ReadOnly, ModelAdmin):
    """A list and a page for each row, for staff with the view permission."""

    # Nor those that a project adds to all lists: an export would carry payloads away.
    actions: Any = None
    nothing: Words = ""
    """What a list without a row tells, where something may be done to have one."""
    # Each of the three would count the whole table on each page.
    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER

    class Media:
        """What names the columns in the cells of a list."""

        js = (forms.Script("django_resilient_queue/labels.js", type="module"),)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RowList]:
        """Return the list that is asked no more than it can answer."""
        return RowList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list by its name, and whether Redis is away."""
        title = capfirst(self.opts.verbose_name_plural)
        more = {"title": title, "away_since": away_since(), **(extra_context or {})}
        return super().changelist_view(request, more)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Narrow no list by a secret, nor by a part of a text or of a moment."""
        # What a list offers to be narrowed by is shown; a column of another table has its name.
        may_narrow = narrows(self.model, lookup, value, shown=map(str, self.list_filter))
        return may_narrow and bool(super().lookup_allowed(lookup, value, request))
