"""The list of alerts, what became of their notices, and silence for a while."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.conf import settings
from django_resilient_queue.models import Alert, AlertNotice, AlertSilence
from django_resilient_queue.models.alert import Severity

from .columns import ago, below, pill
from .ended import EndedFilter
from .operation import GRAVE, Operation, OperationsMixin, ReasonForm, Words, require_change
from .read_only import ReadOnlyAdmin, ReadOnlyInline

_HOURS = ((1, _("an hour")), (4, _("four hours")), (24, _("a day")), (168, _("a week")))


class SilenceForm(ReasonForm):
    """Asks for how long."""

    hours = forms.TypedChoiceField(label=_("For"), choices=_HOURS, coerce=int)
    field_order = ("hours", "reason")


class Silence(Operation):
    """Has nobody told of a rule for a while."""

    name = "silence"
    permission = "silence_alert"
    label = _("Silence this rule")
    question = _("Nobody is told of this rule until then, wherever it holds. It is still recorded.")
    form_class = SilenceForm

    def perform(self, request: HttpRequest, row: Alert, form: forms.Form) -> Words:
        """Silence the rule of an alert."""
        until = timezone.now() + timedelta(hours=form.cleaned_data["hours"])
        AlertSilence.objects.using(settings.DATABASE).silence(
            row.rule,
            until=until,
            by=request.user.get_username(),
            reason=form.cleaned_data["reason"],
        )
        return _("“%(rule)s” is silent until %(until)s.") % {
            "rule": row.rule,
            "until": f"{timezone.localtime(until):%Y-%m-%d %H:%M}",
        }


class Lift(Operation):
    """Ends a silence."""

    name = "lift"
    permission = "silence_alert"
    label = _("End silence")
    question = _("Notices of this rule are sent again.")
    removes_row = True
    form_class = forms.Form

    def perform(self, request: HttpRequest, row: AlertSilence, form: forms.Form) -> Words:
        """End the silence of a rule. Raises ValueError when it has ended meanwhile."""
        require_change(AlertSilence.objects.using(settings.DATABASE).lift(row.rule), row)
        return _("“%(rule)s” is silent no more.") % {"rule": row.rule}


class NoticeInline(ReadOnlyInline):
    """The notices of one alert."""

    model = AlertNotice
    fields = ("channel", "kind", "made_at", "tries", "try_at", "done_at", "problem")


@admin.register(Alert)
class AlertAdmin(OperationsMixin, ReadOnlyAdmin):
    """What is or was wrong, and who was told."""

    nothing = _("Nothing has been wrong for long enough to tell of it.")
    operations = (Silence(),)
    list_display = ("name", "level", "message", "began", "resolved")
    list_filter = (("resolved_at", EndedFilter), "severity", "since")
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ("began",)
    fields = (
        "rule",
        "key",
        "severity",
        "message",
        "since",
        "fired_at",
        "told_at",
        "gone_at",
        "resolved_at",
    )
    inlines = (NoticeInline,)

    @admin.display(description=_("rule"))
    def name(self, alert: Alert) -> SafeString:
        """Return the rule, and where it holds."""
        return below(alert.rule, alert.key)

    @admin.display(description=_("severity"))
    def level(self, alert: Alert) -> SafeString:
        """Return it, to be seen at a glance while it lasts."""
        lasts_badly = alert.resolved_at is None and alert.severity == Severity.CRITICAL
        return pill(alert.get_severity_display(), GRAVE if lasts_badly else "")

    @admin.display(description=_("since"), ordering="since")
    def began(self, alert: Alert) -> Words:
        """Return how long ago it began."""
        return ago(alert.since)

    @admin.display(description=_("resolved"))
    def resolved(self, alert: Alert) -> Words:
        """Return how long ago it ended."""
        return ago(alert.resolved_at)


@admin.register(AlertSilence)
class AlertSilenceAdmin(OperationsMixin, ReadOnlyAdmin):
    """Rules of which nobody wants to hear for a while."""

    nothing = _("The page of an alert has a button that silences its rule.")
    operations = (Lift(),)
    list_display = ("rule", "until", "set_by", "reason")
    fields = list_display
