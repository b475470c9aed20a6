"""Correcting the arguments of a dead job: a form made from its schema, and the difference shown
before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_resilient_queue.admin.frame import away_since
from django_resilient_queue.admin.operation import Operation, ReasonForm, Words
from django_resilient_queue.exceptions import InvalidPayload, ResilientQueueError
from django_resilient_queue.handlers.handler import shallow
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import Correction, DeadLetter
from django_resilient_queue.models.correction import storable
from django_resilient_queue.models.dead_letter import Change, Status
from django_resilient_queue.recovery.correcting import DEEPEST, arguments, correct, masked_names
from django_resilient_queue.recovery.requeueing import requeue
from django_resilient_queue.redaction import redact, unmask

from .changes import FieldChange, changes, pretty
from .inputs import NOT_GIVEN, JsonInput, fields_of, input_for, is_sent_back
from .queue_choice import has_queue, queue_choice
from .revealing import Reveal, may_reveal
from .story import is_sound

_PREFIX = "argument-"
WHOLE = "kwargs"  # the one field of a job without a schema
REVEAL, CONFIRM, BACK = "reveal", "confirm", "back"  # buttons


class CorrectionForm(ReasonForm):
    """A field for each argument. Secrets are masked; a mask that is left alone keeps what it hides.

    *sees* is whether the user may see secrets; *reveals*, whether they are shown at once. Raises
    ValueError or UndecodableSnapshot for arguments that can't be corrected.
    """

    correction: Correction | None = None
    kwargs: Mapping[str, Any]
    """The keyword arguments that the job is to have; only of a valid form."""
    written: Mapping[str, Any] | None = None
    """The same with masks, from a user who may not see what they hide; only of a valid form."""

    def __init__(
        self, letter: DeadLetter, data: Any = None, *, sees: bool, reveals: bool = False
    ) -> None:
        super().__init__(data)
        self.letter, self.sees, self.reveals = letter, sees, reveals
        found = arguments(letter)
        self.args, self.had = found["args"], found["kwargs"]
        self.keys = masked_names(letter)
        self.is_masked = redact(self.had, self.keys) != self.had and not reveals
        self._shown: dict[str, Any] = self.had if reveals else redact(self.had, self.keys)
        # A field whose name does not come back would be left out of the job.
        self.of_schema = fields_of(letter.handler) if all(map(is_sent_back, self.had)) else {}
        reason = self.fields.pop("reason")
        self.fields |= dict(self._inputs())
        if not has_queue(letter):
            self.fields["queue_name"] = queue_choice(letter)
        self.fields["reason"] = reason

    def clean(self) -> dict[str, Any]:
        """Hold the arguments against the schema, as the front door does."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self._check(self._given(cleaned))
            except InvalidPayload as error:
                self._take(error)
            except (ResilientQueueError, ValueError) as error:
                self.add_error(None, storable(str(error)))
        return cleaned

    @property
    def changes(self) -> list[FieldChange]:
        """What they change; only of a valid form."""
        made = cast("Correction", self.correction)
        return changes(made, self.keys)

    def _inputs(self) -> Iterator[tuple[str, forms.Field]]:
        if not self.of_schema:
            widget = forms.Textarea(attrs={"rows": 14, "class": "drq-json", "spellcheck": "false"})
            label = _("Keyword arguments, as JSON")
            field = JsonInput(initial=self._shown, label=label, required=False, widget=widget)
            yield _PREFIX + WHOLE, field
            return
        for name in {**self.of_schema, **self.had}:
            value = self._shown.get(name, NOT_GIVEN)
            yield _PREFIX + name, input_for(name, self.of_schema.get(name), value)

    def _given(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments as they were typed, with masks."""
        given: Any = {
            name.removeprefix(_PREFIX): value
            for name, value in cleaned.items()
            if name.startswith(_PREFIX) and value is not NOT_GIVEN
        }
        if not self.of_schema:
            given = given.get(WHOLE)
            if not isinstance(given, dict):
                raise ValueError(_("A JSON object of names and values is needed."))
        return dict(given)

    def _check(self, given: dict[str, Any]) -> None:
        kwargs, written = self._filled_in(shallow(given, DEEPEST)), None if self.sees else given
        _job, correction = correct(self.letter, kwargs, Change(), written=written)
        if not correction.shown:
            raise ValueError(_("Nothing is changed yet."))
        # What is kept of it may lack what no database stores: the job is to have all of it.
        self.correction, self.kwargs, self.written = correction, kwargs, written

    def _filled_in(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(unmask(given, self.had, self.keys))
        except ValueError as error:
            words = _("A mask (********) stands where it hides nothing: write the value.")
            raise ValueError(words) from error

    def _take(self, error: InvalidPayload) -> None:
        """Put what is wrong beside the fields that it is about."""
        for name, found in error.errors.items():
            field = _PREFIX + name
            words = list(_words(found))
            if field in self.fields:
                self.add_error(field, words)
            else:
                prefix = "" if name == "non_field_errors" else f"{storable(name)}: "
                self.add_error(None, [f"{prefix}{each}" for each in words])


class Correct(Operation):
    """Has the job run again with other arguments."""

    name = "correct"
    permission = "correct_deadletter"
    label = gettext_lazy("Correct and requeue")
    question = gettext_lazy("The job runs again, under a new id, with the arguments below.")
    template_name = "admin/django_resilient_queue/deadletter/correct.html"

    def is_offered(self, row: DeadLetter) -> bool:
        """Only what nobody has dealt with, and what can be read."""
        return row.status == Status.DEAD and is_sound(row)

    def form(self, request: HttpRequest, row: DeadLetter) -> forms.Form:
        """Return the form, filled in with what was sent, or anew with what was masked."""
        sees = may_reveal(request)
        if request.method != "POST":
            return CorrectionForm(row, sees=sees)
        if REVEAL not in request.POST:
            return CorrectionForm(row, request.POST, sees=sees)
        if not sees:
            raise PermissionDenied
        return CorrectionForm(row, sees=True, reveals=True)

    def seen(self, form: Any) -> tuple[str, Words] | None:
        """Have it noted who has looked at the masked values."""
        if not form.reveals:
            return None
        return Reveal.name, _("Looked at the masked values of the arguments, to correct them.")

    def context(self, request: HttpRequest, row: DeadLetter, form: Any) -> dict[str, Any]:
        """Show what changes once there is nothing wrong with it."""
        is_sound = form.is_bound and form.is_valid() and BACK not in request.POST
        return {
            "changes": form.changes if is_sound else None,
            "args": pretty(redact(form.args, form.keys)) if form.args else "",
            "is_of_handler": row.handler in registry,
            "may_reveal": form.is_masked and may_reveal(request),
            "away_since": away_since(),
        }

    def is_confirmed(self, request: HttpRequest, form: forms.Form) -> bool:
        """Not before the difference was seen."""
        return CONFIRM in request.POST

    def perform(self, request: HttpRequest, row: DeadLetter, form: Any) -> Words:
        """Requeue it so."""
        by, reason = request.user.get_username(), form.cleaned_data["reason"]
        job_id = requeue(
            row,
            by=by,
            reason=reason,
            kwargs=form.kwargs,
            written=form.written,
            queue_name=form.cleaned_data.get("queue_name"),
        )
        return _("Requeued with other arguments as %(job)s.") % {"job": job_id}


def _words(found: Any, place: str = "") -> Iterator[str]:
    """Return what is wrong with a field, as lines; each says where within the field it is."""
    if isinstance(found, dict):
        for name, inner in found.items():
            # The REST framework counts from 0, people do not.
            yield from _words(inner, f"{place}{name + 1 if isinstance(name, int) else name}: ")
    elif isinstance(found, list | tuple):
        for number, inner in enumerate(found, start=1):
            is_nested = isinstance(inner, dict | list)
            yield from _words(inner, f"{place}{number}: " if is_nested and inner else place)
    else:
        yield str(storable(f"{place}{found}"))  # it may repeat a value
