"""What all lists have in common: they show, and cost the same however long the table is."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import FloatField, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from django_resilient_queue.conf import settings

from .absence import AbsenceMixin
from .frame import away_since
from .operation import Words
from .paginator import CappedPaginator
from .row_list import RowList

# Only the stubs' ModelAdmin takes a parameter.
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    BaseModelAdmin = admin.options.BaseModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    BaseModelAdmin = object


# Columns that no page shows without asking more of its user than to look.
_SECRET = frozenset(
    (
        "auth",
        "claim_token",
        "data",
        "endpoint",
        "in_flight",  # with the tokens of claims
        "outcome",
        "p256dh",
        "path",
        "payload",
        "token",
    )
)


# What a column is compared with a value by. All else would read the whole table, and fails at much
# of what can be written into an address.
_COMPARISONS = frozenset(("exact", "gt", "gte", "in", "isempty", "isnull", "lt", "lte"))


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
        """Narrow no list by a secret: it could be guessed, letter by letter, from whether a row is
        still there. Nor by a part of a text or of a moment."""
        # What a list offers to be narrowed by is shown; a column of another table has its name.
        secret = _SECRET.difference(map(str, self.list_filter))
        if secret.intersection(lookup.split("__")) or not _compares(self.model, lookup, value):
            return False
        return bool(super().lookup_allowed(lookup, value, request))


def _compares(model: type[Model] | None, lookup: str, value: str) -> bool:
    """Tell whether a column is compared as it is, with what every database has; of what is no
    column a filter may know."""
    field: Any = None
    *words, last = lookup.split("__")
    if last not in _COMPARISONS:
        words.append(last)
    for place, word in enumerate(words):
        if model is None:
            return False
        try:
            field = model._meta.pk if word == "pk" else model._meta.get_field(word)
        except FieldDoesNotExist:
            return place == 0
        model = field.related_model
    return not isinstance(field, FloatField) or all(map(_is_finite, value.split(",")))


def _is_finite(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:  # as the admin will say
        return True
