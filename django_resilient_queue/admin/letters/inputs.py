"""Fields of a form for the arguments of a job, made from its handler's schema.

A schema is known by the names of its fields' classes, so that projects without the REST framework
do not need it. What fits no other kind, or does not fit its own, is written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.handlers.registry import registry

from .changes import pretty

_LONG = 60  # characters of a text that gets more than one line
# What a browser would not send back as it was.
_NOT_SENT_BACK = re.compile("[\0\ud800-\udfff]|\r(?!\n)")
NOT_GIVEN = object()
"""The value of a field that the payload does not have."""


class JsonInput(forms.CharField):
    """Any JSON value; empty for none."""

    widget = forms.Textarea
    default_error_messages: ClassVar = {"invalid": _("Not JSON: %(problem)s.")}

    def prepare_value(self, value: Any) -> Any:
        """Write a value that is not what somebody has typed."""
        return value if isinstance(value, Typed) else pretty(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Mark what was typed."""
        return Typed(data or "")

    def clean(self, value: Any) -> Any:
        """Return the value, or NOT_GIVEN."""
        text = str(value or "").strip()
        if not text:
            return NOT_GIVEN
        try:
            return json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            words = {"problem": str(error)}
            raise forms.ValidationError(self.error_messages["invalid"], "invalid", words) from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


class Typed(str):
    """Text of somebody's."""

    __slots__ = ()


class TextInput(forms.CharField):
    """A text; a browser ends its lines its own way."""

    def __init__(self, had: Any, **options: Any) -> None:
        super().__init__(strip=False, **options)
        self.had = had  # a text, or NOT_GIVEN

    def clean(self, value: Any) -> Any:
        """Return the text with the ends of lines that it had, or NOT_GIVEN."""
        text = str(value or "").replace("\r\n", "\n")
        had = "" if self.had is NOT_GIVEN else self.had.replace("\r\n", "\n")
        return self.had if text == had else (text or NOT_GIVEN)


class ChoiceInput(forms.ChoiceField):
    """One of some values, of whatever type."""

    def __init__(self, values: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.values = values

    def clean(self, value: Any) -> Any:
        """Return the value itself, or NOT_GIVEN."""
        return self.values.get(super().clean(value), NOT_GIVEN)


class NumberInput(forms.FloatField):
    """A number, whole where it is written so."""

    def clean(self, value: Any) -> Any:
        """Return it, or NOT_GIVEN."""
        found = super().clean(value)
        if found is None:
            return NOT_GIVEN
        try:
            return int(str(value).strip())
        except ValueError:
            return found


def fields_of(handler: str) -> dict[str, Any]:
    """Return the fields of a handler's schema; none without a handler or a schema."""
    found = registry.find(handler)
    schema: Any = found.schema if found else None
    return dict(getattr(schema(), "fields", {})) if schema else {}


def is_sent_back(name: str) -> bool:
    """Tell whether a browser sends a field of that name back under it."""
    return not (_NOT_SENT_BACK.search(name) or "\n" in name)


def input_for(name: str, known: Any, value: Any) -> forms.Field:
    """Make the field of a form for one of a payload; *known* is that of the schema, or None."""
    make = next((make for kind, make in _KINDS if kind in _kinds(known)), _json)
    options = {
        "label": str(getattr(known, "label", None) or name),
        "help_text": str(getattr(known, "help_text", None) or ""),
        "required": False,
    }
    made = make(known, value, options) or _json(known, value, options)
    made.widget.attrs["spellcheck"] = "false"
    return made


def _text(known: Any, value: Any, options: dict[str, Any]) -> forms.Field | None:
    if value is not NOT_GIVEN and not isinstance(value, str):
        return None
    had = value if isinstance(value, str) else ""
    if _NOT_SENT_BACK.search(had):
        return None
    is_long = len(had) > _LONG or "\n" in had
    widget = forms.Textarea(attrs={"rows": _rows(had)}) if is_long else forms.TextInput()
    return TextInput(value, initial=had, widget=widget, **options)


def _number(known: Any, value: Any, options: dict[str, Any]) -> forms.Field | None:
    if isinstance(value, bool) or not (value is NOT_GIVEN or isinstance(value, int | float)):
        return None
    widget = forms.NumberInput(attrs={"step": "any"})
    return NumberInput(initial=None if value is NOT_GIVEN else value, widget=widget, **options)


def _choice(known: Any, value: Any, options: dict[str, Any]) -> forms.Field | None:
    choices = getattr(known, "choices", None)
    if not isinstance(choices, Mapping) or not _fits(value, choices):
        return None
    return _chosen({str(each): each for each in choices}, choices.values(), value, options)


def _boolean(known: Any, value: Any, options: dict[str, Any]) -> forms.Field | None:
    if not (value is NOT_GIVEN or isinstance(value, bool)):
        return None
    return _chosen({"true": True, "false": False}, (_("yes"), _("no")), value, options)


def _chosen(
    values: Mapping[str, Any], words: Any, value: Any, options: dict[str, Any]
) -> forms.Field:
    """Make a list to choose from, with the choice to leave the field out."""
    choices = [("", _("— not given —")), *zip(values, words, strict=True)]
    initial = next((text for text, each in values.items() if each == value), "")
    return ChoiceInput(values, choices=choices, initial=initial, **options)


def _json(known: Any, value: Any, options: dict[str, Any]) -> forms.Field:
    initial = Typed("") if value is NOT_GIVEN else value
    rows = _rows("" if value is NOT_GIVEN else pretty(value))
    return JsonInput(
        initial=initial, widget=forms.Textarea(attrs={"rows": rows, "class": "drq-json"}), **options
    )


_KINDS: tuple[tuple[str, Callable[[Any, Any, dict[str, Any]], forms.Field | None]], ...] = (
    ("MultipleChoiceField", _json),
    ("ChoiceField", _choice),
    ("BooleanField", _boolean),
    ("IntegerField", _number),
    ("FloatField", _number),
    ("CharField", _text),
    ("UUIDField", _text),
    ("DateTimeField", _text),
    ("DateField", _text),
    ("TimeField", _text),
    ("DecimalField", _text),
)


def _kinds(known: Any) -> set[str]:
    return {each.__name__ for each in type(known).__mro__}


def _fits(value: Any, choices: Mapping[Any, Any]) -> bool:
    try:
        return value is NOT_GIVEN or value in choices
    except TypeError:  # a list
        return False


def _rows(text: str) -> int:
    return min(max(text.count("\n") + 1, len(text) // _LONG + 1, 2), 16)
