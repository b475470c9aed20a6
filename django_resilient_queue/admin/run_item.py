"""What recovery runs did with their letters, and what has come of each since."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.conf import settings
from django_resilient_queue.models import DeadLetter, RunItem
from django_resilient_queue.models.dead_letter import Status

from .read_only import ReadOnlyAdmin


@admin.register(RunItem)
class RunItemAdmin(ReadOnlyAdmin):
    """What a run did with one letter."""

    list_display = ("letter", "run", "outcome", "since", "detail")
    list_filter = ("outcome",)
    sortable_by = ()
    # Along the index of a run, and that of an outcome, whichever the list is narrowed by.
    ordering = ("-run_id", "-letter_id")
    # Without the letters' large columns, a page of which is megabytes.
    list_select_related = ("run", "letter")
    deferred = ("letter__payload", "letter__message", "letter__traceback")
    readonly_fields = ("since",)
    fields = ("run", "letter", "outcome", "since", "detail")

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
