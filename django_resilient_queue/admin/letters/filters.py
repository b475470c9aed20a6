"""What a list of letters is narrowed by: each filter with how many letters there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.admin.operation import Words
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.models.wording import CATEGORIES, REASONS

from .choosing import AGES, died_within

if TYPE_CHECKING:
    from .listing import LetterList

MOST = 20  # values that are offered: with the most letters
ALL = "all"
_AGE_WORDS = {
    "hour": _("under an hour"),
    "day": _("under a day"),
    "week": _("under a week"),
    "older": _("a week and more"),
}


class KindFilter(admin.SimpleListFilter):
    """By one column, with the values that there are."""

    template = "admin/django_resilient_queue/deadletter/filter.html"
    column: ClassVar[str]
    words: ClassVar[Mapping[str, Words]] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Leave them to `choices`, which knows the list."""
        return []

    def has_output(self) -> bool:
        """Show it always."""
        return True

    def value(self) -> str | None:
        """Return the chosen value; an empty one is none, as in the address of a selection."""
        return super().value() or None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep those of the chosen value."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.column: value})

    # The stubs know the admin's own list only.
    def choices(self, changelist: LetterList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Offer the values with the most letters, and the chosen one."""
        counts = changelist.facets.counts(self.column, changelist.kinds)
        names = [name for name, _ in counts.most_common(MOST) if name]
        if (chosen := self.value()) and chosen not in names:
            names.append(chosen)
            counts[chosen] = changelist.facets.total(changelist.kinds)  # not among the frequent
        yield self._choice(changelist, None, _("All"), self._total(changelist))
        for name in names:
            yield self._choice(changelist, name, self.words.get(name, name), counts[name])

    def _total(self, changelist: LetterList) -> int:
        kinds = changelist.kinds
        kinds.pop(self.column, None)
        return changelist.facets.total(kinds)

    def _choice(
        self, changelist: LetterList, value: str | None, words: Words, count: int
    ) -> dict[str, Any]:
        change: Any = {self.parameter_name: value}
        status = value if self.column == "status" else changelist.kinds.get("status")
        return {
            "selected": self.value() == value,
            "query_string": changelist.get_query_string(change),
            "display": words,
            "count": changelist.shown(count, status or ""),
        }


class StatusFilter(KindFilter):
    """Those that wait for somebody, unless another status is chosen or words are searched."""

    title = _("status")
    parameter_name = "status__exact"
    column = "status"

    def value(self) -> str | None:
        """Return the status that is shown; None for all."""
        given = super().value()
        if given is None and not self.request.GET.get(SEARCH_VAR):
            return Status.DEAD.value
        return None if given == ALL else given

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Name all of them where all are shown: indexes begin with the status."""
        value = self.value()
        return queryset.filter(status__in=[value] if value else Status.values)

    def choices(self, changelist: LetterList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Offer each status, those without letters too."""
        counts = changelist.facets.counts(self.column, changelist.kinds)
        for status in Status:
            yield self._choice(changelist, status.value, status.label, counts[status])
        shown = self._choice(changelist, None, _("all"), self._total(changelist))
        yield {**shown, "query_string": changelist.get_query_string({self.parameter_name: ALL})}


class HandlerFilter(KindFilter):
    """By the type of the job."""

    title = _("type")
    parameter_name = "handler__exact"
    column = "handler"


class QueueFilter(KindFilter):
    """By the queue."""

    title = _("queue")
    parameter_name = "queue_name__exact"
    column = "queue_name"


class ReasonFilter(KindFilter):
    """By why the job is dead."""

    title = _("reason")
    parameter_name = "reason__exact"
    column = "reason"
    words: ClassVar = dict(REASONS)


class CategoryFilter(KindFilter):
    """By what kind of an error it was."""

    title = _("category")
    parameter_name = "category__exact"
    column = "category"
    words: ClassVar = dict(CATEGORIES)


class ErrorFilter(KindFilter):
    """By the class of the error."""

    title = _("error")
    parameter_name = "error_class__exact"
    column = "error_class"


class AgeFilter(admin.SimpleListFilter):
    """By how long ago it died."""

    title = _("age")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Words]]:
        """Offer the ages."""
        return list(_AGE_WORDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep those of the chosen age."""
        if self.value() not in AGES:
            return queryset
        return died_within(str(self.value()), timezone.now()).among(queryset)


class GroupFilter(admin.SimpleListFilter):
    """By the group of errors; shown only once one was chosen on the page of groups."""

    title = _("group of errors")
    parameter_name = "fingerprint__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the chosen one."""
        return [(value, value[:8])] if (value := self.value()) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep its letters."""
        value = self.value()
        return queryset.filter(fingerprint=value) if value else queryset


FILTERS = (
    StatusFilter,
    CategoryFilter,
    HandlerFilter,
    QueueFilter,
    ReasonFilter,
    ErrorFilter,
    AgeFilter,
    GroupFilter,
)
