"""Fields that take what the document says and nothing that merely looks like it: no number for a
text, no text for a number. Those that other forms need are here; the forms are not."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.utils.translation import gettext_lazy as _
from django_rq.settings import get_queues_map
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

ANYTHING = r"\A[^\x00]*\Z"  # PostgreSQL has no room for a null character
PRINTABLE = r"\A[^\x00-\x1f\x7f]+\Z"
MOST_SECONDS = 366 * 86_400


class Text(serializers.RegexField):
    """A string, kept as it came; not of numbers, which DRF would make strings of."""

    def __init__(self, regex: str = PRINTABLE, **options: Any) -> None:
        if not options.get("allow_blank"):
            options.setdefault("min_length", 1)
        super().__init__(regex, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Take a string."""
        if not isinstance(data, str):
            self.fail("invalid")
        value: str = super().to_internal_value(data)
        return value


class Whole(serializers.IntegerField):
    """A whole number."""

    def to_internal_value(self, data: Any) -> int:
        """Take a number."""
        if isinstance(data, str | bool):
            self.fail("invalid")
        value: int = super().to_internal_value(data)
        return value


class Number(serializers.FloatField):
    """A number."""

    def to_internal_value(self, data: Any) -> float:
        """Take a number."""
        if isinstance(data, str | bool):
            self.fail("invalid")
        value: float = super().to_internal_value(data)
        return value


class Flag(serializers.BooleanField):
    """True or false, in no other words."""

    def to_internal_value(self, data: Any) -> bool:
        """Take a boolean."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field(bool)
class FlagOfQuery(serializers.ChoiceField):
    """``true`` or ``false`` in an address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=["true", "false"], **options)

    def to_internal_value(self, data: Any) -> Any:
        """Take one of the two words."""
        return bool(super().to_internal_value(data) == "true")


class QueueName(Text):
    """A queue of ``RQ_QUEUES``."""

    default_error_messages = {  # noqa: RUF012 - as the framework has them
        "unknown": _("There is no queue {name} in RQ_QUEUES; there are: {known}.")
    }

    def to_internal_value(self, data: Any) -> str:
        """Take the name of one that there is."""
        name = super().to_internal_value(data)
        if name not in (known := get_queues_map()):
            self.fail("unknown", name=name, known=", ".join(sorted(known)))
        return name


class QueueNameExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes them when the document is made: settings are read late."""

    target_class = QueueName

    def get_name(self) -> str:
        """Have it once in the document."""
        return "QueueName"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Name the queues that there are."""
        return {"type": "string", "enum": sorted(get_queues_map())}


@extend_schema_field(
    {
        "oneOf": [
            {"type": "boolean"},
            {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS},
        ]
    }
)
class Removal(serializers.JSONField):
    """True for at once, False for never, or seconds."""

    def to_internal_value(self, data: Any) -> Any:
        """Take what the front door takes."""
        is_whole = isinstance(data, int) and 0 <= data <= MOST_SECONDS
        if isinstance(data, bool) or is_whole:
            return data
        raise serializers.ValidationError("True, False or whole seconds.")


def word(*words: str, name: str = "", **options: Any) -> serializers.ChoiceField:
    """A field of one of some words. With a *name* the document has them once, under it; it should
    be one that no project gives to a type of its own."""
    plain = tuple(str(each) for each in words)
    field: serializers.ChoiceField = _kind(plain, name)(choices=plain, **options)
    return field


@cache  # the same name of two classes would be a clash
def _kind(words: tuple[str, ...], name: str) -> Any:
    described = {"type": "string", "enum": list(words)}
    kind = type("Word", (serializers.ChoiceField,), {})
    if name:
        return extend_schema_field(described, component_name=name)(kind)
    # Not as an enumeration, or it would get a name that might be one of the project's own.
    return extend_schema_field({"oneOf": [described]})(kind)


def note(**options: Any) -> Text:
    """Some words of an operator's, or none."""
    return Text(ANYTHING, max_length=500, required=False, allow_blank=True, **options)
