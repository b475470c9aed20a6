"""Dead letters in the admin: the list, each letter, groups of errors, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_resilient_queue.models import Correction, DeadLetter, FailedAttempt
from django_resilient_queue.recovery.searching import LOOKED_INTO
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.redaction import EVERY_NAME, MASK

from .addresses import address, list_of, page_of
from .amounts import age as words_of_age
from .columns import time
from .frame import away_since
from .letters.bulk_operations import BULK_OPERATIONS, BulkOperation, Chosen
from .letters.changes import changes, pretty
from .letters.choosing import ids_of
from .letters.filters import FILTERS
from .letters.groups import GroupsMixin
from .letters.listing import LetterList
from .letters.operations import OPERATIONS
from .letters.revealing import may_reveal
from .letters.story import context_of
from .operation import OperationsMixin
from .read_only import ReadOnlyAdmin

_MOST_CORRECTIONS = 20


def _action(operation: BulkOperation) -> Callable[..., HttpResponse]:
    """Make an entry of the list's actions, which leads to the page that asks."""

    @admin.action(description=operation.label)
    def lead(pages: DeadLetterAdmin, request: HttpRequest, letters: Any) -> HttpResponse:
        return pages.lead_to(request, operation)

    lead.__name__ = _name_of(operation)  # by which the admin knows it
    return lead


def _name_of(operation: BulkOperation) -> str:
    return f"{operation.name}_all"


@admin.register(DeadLetter)
class DeadLetterAdmin(GroupsMixin, OperationsMixin, ReadOnlyAdmin):
    """Which jobs died, when and why, and what can be done about it.

    To have it look like another admin's, unregister it and register a class of it and that admin's
    ModelAdmin, in this order.
    """

    operations = OPERATIONS
    actions = tuple(map(_action, BULK_OPERATIONS))
    list_display = ("job", "queue_name", "error", "age", "status")
    list_display_links = ("job",)
    list_filter = FILTERS
    # That it can be searched; where it is looked for, `recovery.searching` says.
    search_fields = ("job_id__exact",)
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("age",)
    change_form_template = "admin/django_resilient_queue/deadletter/change_form.html"
    fields = ()

    # ---- the list --------------------------------------------------------------------------------

    @property
    def search_help_text(self) -> str:  # type: ignore[override]
        """Say where is searched."""
        return _(
            "A whole job id, or a part of the name of a type or an error; else a part of a message"
            " or of arguments, in the newest %(most)d letters."
        ) % {"most": LOOKED_INTO}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LetterList]:
        """Return the list that does not count further than it pages."""
        return LetterList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Leave it to the list, which says where it has searched."""
        return queryset, False

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer our own to who may, and none that a project adds to all lists: those know no
        confirmation."""
        # Since 6.1 Django has actions elsewhere, too, and looks for that name.
        where = {} if action_location is None else {"action_location": action_location}
        found = super().get_actions(request, **where)
        names = [_name_of(each) for each in self.bulk_operations if each.is_permitted(request)]
        return {name: found[name] for name in names if name in found}

    def response_action(
        self, request: HttpRequest, queryset: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Refuse what no letter is called, before the admin makes a query of it."""
        ids_of(request.POST.getlist(ACTION_CHECKBOX_NAME))
        return super().response_action(request, queryset, *args, **kwargs)

    def lead_to(self, request: HttpRequest, operation: BulkOperation) -> HttpResponse:
        """Go to the page that asks about the chosen letters, or about all of the list."""
        try:
            chosen = self._chosen(request, operation)
        except ValueError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.get_full_path())
        return HttpResponseRedirect(self.bulk_address(operation, chosen.selection, chosen.status))

    def _chosen(self, request: HttpRequest, operation: BulkOperation) -> Chosen:
        if request.POST.get("select_across") not in ("1", "on", "true"):
            return Chosen(Selection(ids=ids_of(request.POST.getlist(ACTION_CHECKBOX_NAME))), "")
        found = cast("LetterList", self.get_changelist_instance(request))
        status = found.kinds.get("status", "")
        if operation.status and status and status != operation.status:
            words = _("“%(name)s” is for letters that are %(status)s: choose that status.")
            raise ValueError(words % {"name": operation.label, "status": operation.status})
        return Chosen(found.selection(), status)

    @admin.display(description=gettext_lazy("job"))
    def job(self, letter: DeadLetter) -> SafeString:
        """Return its type and its id."""
        words = '<span class="drq-name">{}</span> <span class="drq-id">{}</span>'
        return format_html(words, letter.handler or _("unknown"), letter.job_id)

    @admin.display(description=gettext_lazy("what happened"))
    def error(self, letter: DeadLetter) -> SafeString:
        """Return why it is dead and what kind of an error it was; the error's class, and how its
        message begins."""
        reason, category = letter.get_reason_display(), letter.get_category_display()
        name = letter.error_class.rpartition(".")[2]
        # What the list has fetched of it.
        beginning = getattr(letter, "words", "")
        words = '<span class="drq-name">{}</span> <span class="drq-words">{}</span>'
        kind = f"{reason}, {category}" if name else category
        words += ' <span class="drq-kind">{}</span>'
        return format_html(words, name or reason, beginning, kind)

    @admin.display(description=gettext_lazy("age"), ordering="died_at")
    def age(self, letter: DeadLetter) -> SafeString:
        """Return how long ago it died, and after how many attempts."""
        count, seconds = letter.attempts, (timezone.now() - letter.died_at).total_seconds()
        words = ngettext("%(count)d attempt", "%(count)d attempts", count) % {"count": count}
        shown = time(letter.died_at, words_of_age(seconds))
        return format_html('{} <span class="drq-kind">{}</span>', shown, words)

    # ---- one letter ------------------------------------------------------------------------------

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what the page tells."""
        letter = kwargs.get("obj")
        if isinstance(letter, DeadLetter):
            called = letter.called  # once: a payload may be long
            context |= context_of(letter, self.get_queryset(request), self.admin_site.name)
            context |= {
                "title": _("Dead letter"),
                "job": (job := pretty(called.masked())),
                "is_masked": MASK in job,
                "is_of_unknown_handler": called.keys == EVERY_NAME,
                "may_reveal": may_reveal(request),
                "corrections": list(_corrections(letter, called.keys)),
                "away_since": away_since(),
                "list_address": address(self, "changelist"),
                "attempts_address": list_of(
                    self.admin_site, request, FailedAttempt, q=letter.job_id
                ),
            }
            if context["outage"]:
                context["outage_address"] = page_of(self.admin_site, request, context["outage"])
        return super().render_change_form(request, context, *args, **kwargs)


def _corrections(letter: DeadLetter, keys: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Return the newest corrections, with what each changed; secrets are masked for everybody."""
    found: QuerySet[Correction] = letter.corrections.order_by("-pk")
    for each in found[:_MOST_CORRECTIONS]:
        yield {"correction": each, "changes": changes(each, keys)}
