"""The list of recovery runs, how far each has come, and what may be done with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import RecoveryRun, RunItem
from django_resilient_queue.models.recovery_run import Deed, Outcome, RunStatus
from django_resilient_queue.recovery.fates import Fate, Fates, fates_of
from django_resilient_queue.recovery.runs import cancel_run, pause_run, resume_run

from .addresses import address, may_see
from .amounts import UNKNOWN, date_and_time, number
from .columns import ago, below, pill
from .operation import GRAVE, Operation, OperationsMixin, Words
from .read_only import ReadOnlyAdmin
from .run_story import criteria_of, exceptions_of, percent_of, progress_of

_SECONDS = 2  # between two looks at a run that goes on
_AWAITED = timedelta(days=1)  # after its end
_OPEN = (RunStatus.RUNNING, RunStatus.PAUSED)


class _Change(Operation):
    permission = "change_recoveryrun"
    from_: ClassVar[tuple[RunStatus, ...]]
    done: ClassVar[Words]

    def is_offered(self, row: RecoveryRun) -> bool:
        return row.status in self.from_

    def change(self, row: RecoveryRun, reason: str) -> bool:
        raise NotImplementedError

    def perform(self, request: HttpRequest, row: RecoveryRun, form: forms.Form) -> Words:
        """Change its status. Raises ValueError when it ended meanwhile."""
        if not self.change(row, form.cleaned_data.get("reason", "")):
            raise ValueError(_("The run is %(status)s.") % {"status": row.get_status_display()})
        return self.done


class Pause(_Change):
    """Stops a run for now."""

    name = "pause"
    label = _("Pause")
    question = _("No more letters are dealt with until the run is resumed.")
    from_ = (RunStatus.RUNNING,)
    done = _("Paused.")

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Pause it; False when it was not running."""
        return pause_run(row, note=reason)


class Resume(_Change):
    """Has a run go on."""

    name = "resume"
    label = _("Resume")
    question = _("The remaining letters are dealt with, whatever became of the canary.")
    from_ = (RunStatus.PAUSED,)
    done = _("Resumed.")
    form_class = forms.Form

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Resume it; False when it was not paused."""
        return resume_run(row)


class Cancel(_Change):
    """Ends a run early."""

    name = "cancel"
    label = _("Cancel run")
    question = _("The remaining letters stay as they are. What has been done stays done.")
    is_final = True
    look = GRAVE
    from_ = _OPEN
    done = _("Cancelled.")

    def change(self, row: RecoveryRun, reason: str) -> bool:
        """Cancel it; False when it had ended."""
        return cancel_run(row, note=reason)


@admin.register(RecoveryRun)
class RecoveryRunAdmin(OperationsMixin, ReadOnlyAdmin):
    """What is requeued at once, how fast, and how far that has come."""

    nothing = _("Dead letters that are requeued many at once are one: choose them in their list.")
    operations = (Pause(), Resume(), Cancel())
    list_display = ("name", "standing", "so_far", "created", "ended")
    list_display_links = ("name",)
    list_filter = ("status",)
    sortable_by = ()
    ordering = ("-pk",)
    readonly_fields = (
        "progress",
        "fates",
        "fates_in_words",
        "noted",
        "chosen",
        "ended_on",
        "pace",
        "letters",
    )
    fields = (
        "progress",
        "fates",
        "deed",
        "noted",
        "chosen",
        "reason",
        "created_by",
        "created_at",
        "ended_on",
        "pace",
        "canary",
        "letters",
    )

    class Media:
        """What keeps the progress up to date."""

        js = (forms.Script("django_resilient_queue/fresh.js", type="module"),)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Have the page keep up to date what can be done with the run, as long as it goes on."""
        run = kwargs.get("obj")
        if isinstance(run, RecoveryRun) and run.status in _OPEN:
            context["fresh_seconds"] = _SECONDS
        return super().render_change_form(request, context, *args, **kwargs)

    def get_fields(self, request: HttpRequest, obj: RecoveryRun | None = None) -> Any:
        """Leave out links to letters for whoever may not open them, and what becomes of letters
        that are not requeued."""
        fields: Any = super().get_fields(request, obj)
        left_out = set() if obj is None or obj.deed == Deed.REQUEUE else {"fates"}
        if may_see(self.admin_site, request, RunItem):
            return [name for name in fields if name not in left_out]
        plain = {"fates": "fates_in_words"}
        return [plain.get(name, name) for name in fields if name not in {*left_out, "letters"}]

    @admin.display(description=_("progress"))
    def progress(self, run: RecoveryRun) -> SafeString:
        """Return a bar, and the same in words."""
        done = run.handled
        return render_to_string(
            "admin/django_resilient_queue/progress.html",
            {
                "total": max(run.total, done, 1),
                "done": done,
                "percent": percent_of(run),
                "words": progress_of(run),
                "seconds": _SECONDS if run.status in _OPEN else None,
            },
        )

    @admin.display(description=_("what came of them"))
    def fates(self, run: RecoveryRun) -> SafeString:
        """Return how many of its letters came to what, each as a link to them."""
        return self._fates(run, self._items(run, outcome__exact=Outcome.REQUEUED))

    @admin.display(description=_("what came of them"))
    def fates_in_words(self, run: RecoveryRun) -> SafeString:
        """Return the same for whoever may not look at them."""
        return self._fates(run, "")

    def _fates(self, run: RecoveryRun, items: str) -> SafeString:
        found = fates_of(run)
        context = {
            "total": number(found.total),
            "is_cut": found.is_cut,
            "fates": [
                (fate, number(getattr(found, fate.value)), items and f"{items}&since={fate.value}")
                for fate in Fate
            ],
            "seconds": _SECONDS if run.status in _OPEN or _is_awaited(run, found) else None,
        }
        return render_to_string("admin/django_resilient_queue/fates.html", context)

    def _items(self, run: RecoveryRun, **query: str) -> str:
        # As Django does it itself: a display is told of no request.
        items = address(self.admin_site.get_model_admin(RunItem), "changelist")
        return f"{items}?{urlencode({'run__exact': run.pk, **query})}"

    @admin.display(description=_("recovery run"))
    def name(self, run: RecoveryRun) -> SafeString:
        """Return its number, what it does and why."""
        words = format_html('<span class="drq-name">{} {}</span>', run, run.get_deed_display())
        return below(words, run.reason)

    @admin.display(description=_("status"))
    def standing(self, run: RecoveryRun) -> SafeString:
        """Return it, and why it is so where that was noted."""
        look = GRAVE if run.status == RunStatus.PAUSED else ""
        return below(pill(run.get_status_display(), look), run.note)

    @admin.display(description=_("progress"))
    def so_far(self, run: RecoveryRun) -> SafeString:
        """Return how far it has come, and what did not go as it should."""
        words = _("%(handled)s of %(total)s") % {
            "handled": number(run.handled),
            "total": number(max(run.total, run.handled)),
        }
        return below(f"{words}, {percent_of(run)} %", exceptions_of(run))

    @admin.display(description=_("created"))
    def created(self, run: RecoveryRun) -> SafeString:
        """Return when, and by whom."""
        return below(ago(run.created_at), run.created_by)

    @admin.display(description=_("ended"))
    def ended(self, run: RecoveryRun) -> SafeString | str:
        """Return when."""
        return ago(run.ended_at)

    @admin.display(description=_("note"))
    def noted(self, run: RecoveryRun) -> SafeString:
        """Return why it is as it is, which comes while the page is open."""
        return _fresh(run, "note", run.note or UNKNOWN)

    @admin.display(description=_("ended"))
    def ended_on(self, run: RecoveryRun) -> SafeString:
        """Return the moment, which comes while the page is open."""
        moment = run.ended_at and date_and_time(run.ended_at)
        return _fresh(run, "ended", moment or UNKNOWN)

    @admin.display(description=_("letters a second"))
    def pace(self, run: RecoveryRun) -> str:
        """Return how fast it may go."""
        return f"{run.rate:n}" if run.rate < 1 else number(run.rate)

    @admin.display(description=_("selection"))
    def chosen(self, run: RecoveryRun) -> str:
        """Return which letters the run is of, a criterion after the other."""
        return ", ".join(criteria_of(run)) or str(_("all dead letters"))

    @admin.display(description=_("letters"))
    def letters(self, run: RecoveryRun) -> SafeString:
        """Return a link to them, where they have pages: there may be hundreds of thousands."""
        words = _("what was done with each, and what came of it")
        return format_html('<a href="{}">{}</a>', self._items(run), words)


def _is_awaited(run: RecoveryRun, found: Fates) -> bool:
    """Tell whether jobs of it are likely to end, as they do when the run has long ended: the end of
    one that somebody has cancelled is never known."""
    ended = run.ended_at or timezone.now()
    return bool(found.waiting) and timezone.now() - ended < _AWAITED


def _fresh(run: RecoveryRun, name: str, words: str) -> SafeString:
    """Return words that the page keeps up to date while the run goes on."""
    if run.status not in _OPEN:  # has come to its end
        return format_html('<span id="drq-{}">{}</span>', name, words)
    return format_html('<span id="drq-{}" data-drq-fresh="{}">{}</span>', name, _SECONDS, words)
