"""Fields of the form for arguments, whatever the job had in the place of what its schema says."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from rest_framework import serializers

from django_resilient_queue.admin.letters.inputs import JsonInput, input_for


@pytest.mark.parametrize(
    ("known", "had"),
    [
        (serializers.IntegerField(), True),
        (serializers.IntegerField(), "7"),
        (serializers.BooleanField(), 1),
        (serializers.ChoiceField(["slow", "fast"]), ["fast"]),
        (serializers.ChoiceField(["slow", "fast"]), "lost"),
        (serializers.CharField(), 7),
    ],
    ids=["bool-for-int", "text-for-int", "int-for-bool", "list", "no-choice", "int-for-text"],
)
def test_what_does_not_fit_its_field_is_written_as_json(known: Any, had: object) -> None:
    field = input_for("name", known, had)
    assert isinstance(field, JsonInput)
    assert field.clean(field.prepare_value(had)) == had


@pytest.mark.parametrize("text", ["NaN", "Infinity", '{"deep": -Infinity}', "{"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="Not JSON"):
        JsonInput().clean(text)
