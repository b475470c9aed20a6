"""What recovery runs did with their letters, and what has come of each since."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.conf import settings
from django_resilient_queue.models import DeadLetter, RunItem
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.fates import Fate, come_to, last_of

from .read_only import ReadOnlyAdmin
from .row_list import RowList


class FateFilter(admin.SimpleListFilter):
    """By what has come of a requeued letter since."""

    title = _("the letter now")
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Offer what it may have come to."""
        return Fate.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave it to the list, which knows what else it is narrowed by."""
        return queryset


class ItemList(RowList):
    """A list that says what has come of letters, without looking at all of a million."""

    is_of_last = False
    """Whether it is of the last letters alone."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Look among the last letters of the list for those that have come to what is chosen."""
        items = super().get_queryset(request, exclude_parameters)
        filters = [spec for spec in self.filter_specs if isinstance(spec, FateFilter)]
        fate = filters[0].value() if filters else None
        if fate not in Fate.values:
            return items
        some, self.is_of_last = last_of(items)
        return come_to(some, str(fate))


@admin.register(RunItem)
class RunItemAdmin(ReadOnlyAdmin):
    """What a run did with one letter."""

    list_display = ("letter", "run", "outcome", "since", "detail")
    list_filter = ("outcome", FateFilter)
    sortable_by = ()
    # Along the index of a run, and that of an outcome, whichever the list is narrowed by.
    ordering = ("-run_id", "-letter_id")
    # Without the letters' large columns, a page of which is megabytes.
    list_select_related = ("run", "letter")
    deferred = ("letter__payload", "letter__message", "letter__traceback")
    readonly_fields = ("since",)
    fields = ("run", "letter", "outcome", "since", "detail")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ItemList]:
        """Return the list that looks no further than somebody waits for it."""
        return ItemList

    def get_queryset(self, request: HttpRequest) -> QuerySet[RunItem]:
        """Tell of each whether its job has died again, without a query for each."""
        again = DeadLetter.objects.using(settings.DATABASE).filter(requeued_from=OuterRef("letter"))
        items: QuerySet[RunItem] = super().get_queryset(request).annotate(again=Exists(again))
        return items

    @admin.display(description=_("the letter now"))
    def since(self, item: RunItem) -> str:
        """Return what has come of it since: that a job was requeued says not that it finished."""
        if item.letter.status == Status.REQUEUED and getattr(item, "again", False):
            return gettext("died again")
        return item.letter.get_status_display()
