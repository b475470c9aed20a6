"""What schemas of payloads share: parts that a project has registered, and free values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

_SURROGATE = re.compile("[\ud800-\udfff]")


def validated_part(
    field: str, schema: type[Any] | None, given: Mapping[str, Any], unknown: Any
) -> dict[str, Any]:
    """Return what *schema* makes of the values of one field; without one there may be none.

    Raises ValidationError under the field's name; *unknown* is said of names that it has not.
    """
    checked = schema(data=dict(given)) if schema else None
    known = checked.fields if checked else {}
    if wrong := {name: [unknown] for name in given if name not in known}:
        raise serializers.ValidationError({field: wrong}, "unknown")
    if checked is None:
        return {}
    if not checked.is_valid():
        raise serializers.ValidationError({field: checked.errors})
    return dict(checked.validated_data)


def storable(value: Mapping[str, Any]) -> None:
    """Refuse characters that PostgreSQL does not store or that no encoding has; a validator."""
    text = json.dumps(value, ensure_ascii=False)
    escapes = text.replace("\\\\", "")
    if "\\u0000" in escapes or _SURROGATE.search(text):
        raise serializers.ValidationError(_("Characters that are none."), "invalid")
