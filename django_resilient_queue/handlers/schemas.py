"""Schemas within payloads: those of what a project has registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


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
