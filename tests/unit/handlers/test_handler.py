"""Promises about payloads: what is stored, what the function gets, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import override_settings
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from django_resilient_queue.exceptions import InvalidPayload, PayloadTooLarge
from django_resilient_queue.handlers.handler import Handler

NOW = datetime(2030, 1, 31, 12, 30, 15, 123456, tzinfo=UTC)
ID = UUID(int=7)


class Order(serializers.Serializer[Any]):
    number = serializers.IntegerField(min_value=1)
    at = serializers.DateTimeField(required=False)
    on = serializers.DateField(required=False)
    price = serializers.DecimalField(9, 2, required=False)
    key = serializers.UUIDField(required=False)
    took = serializers.DurationField(required=False)
    pin = serializers.CharField(write_only=True, required=False)
    kind = serializers.CharField(source="category", default="plain")
    drawn = serializers.SerializerMethodField()
    owner = serializers.HiddenField(default="nobody")
    lines = serializers.JSONField(required=False)
    size = serializers.ChoiceField(choices=["s", "m"], required=False)

    def get_drawn(self, order: object) -> str:
        raise AssertionError("computed fields are none of a payload's")


class Strange(serializers.Serializer[Any]):
    first = serializers.IntegerField()
    last = serializers.IntegerField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Takes away what its fields are made of."""
        if attrs["first"] > attrs["last"]:
            raise serializers.ValidationError("the last is before the first")
        return {"span": range(attrs["first"], attrs["last"])}


def work(data: object) -> None: ...


ORDER = Handler("order:place", work, schema=Order)
FREE = Handler("free", work)


def test_a_payload_is_stored_as_it_was_given_with_the_defaults() -> None:
    given = {"number": "7", "pin": "secret"}
    stored = ORDER.payload(given)
    assert stored == {"number": "7", "pin": "secret", "kind": "plain"}
    assert given == {"number": "7", "pin": "secret"}


def test_the_function_gets_what_the_schema_makes_of_it() -> None:
    data = ORDER.validated(ORDER.payload({"number": "7"}))
    assert dict(data) == {"number": 7, "category": "plain", "owner": "nobody"}


def test_values_of_python_are_stored_as_json_and_come_back_as_they_were() -> None:
    values = {
        "at": NOW,
        "on": date(2030, 1, 31),
        "price": Decimal("9.90"),
        "key": ID,
        "took": timedelta(hours=1, microseconds=1),
    }
    stored = ORDER.payload({"number": 1, **values})
    assert {type(value) for value in stored.values()} == {int, str}
    back = ORDER.validated(stored)
    assert {name: back[name] for name in values} == values


def test_what_is_stored_is_accepted_again() -> None:
    """A letter's payload is shown, corrected and sent in once more."""
    stored = ORDER.payload({"number": 1, "at": NOW, "pin": "x"})
    assert ORDER.payload(stored) == stored


def test_a_schema_may_make_something_else_of_its_fields() -> None:
    handler = Handler("a:b", work, schema=Strange)
    stored = handler.payload({"first": 1, "last": 3})
    assert stored == {"first": 1, "last": 3}
    assert handler.validated(stored) == {"span": range(1, 3)}
    with pytest.raises(InvalidPayload) as caught:
        handler.payload({"first": 3, "last": 1})
    assert caught.value.errors == {"non_field_errors": ["the last is before the first"]}


def test_what_the_schema_refuses_is_named_by_field_without_its_value() -> None:
    with pytest.raises(InvalidPayload) as caught:
        ORDER.payload({"number": 0, "size": "secret-size"})
    assert list(caught.value.errors) == ["number", "size"]
    text = str(caught.value)
    assert text == "payload of order:place refused: number (min_value), size (invalid_choice)"


def test_an_unknown_field_is_refused_at_the_door_and_forgiven_later() -> None:
    """Misspelt at the door; and a queued job may be older than its schema."""
    with pytest.raises(InvalidPayload) as caught:
        ORDER.payload({"number": 1, "subjekt": "x"})
    assert caught.value.errors == {"subjekt": ["Unknown field."]}
    assert ORDER.validated({"number": 1, "subjekt": "x"})["number"] == 1


def test_a_payload_that_a_newer_schema_refuses_is_a_permanent_error() -> None:
    with pytest.raises(InvalidPayload):
        ORDER.validated({})


@pytest.mark.parametrize("given", [None, [], "text", 3, [("number", 1)]])
def test_only_a_dict_is_a_payload(given: object) -> None:
    with pytest.raises(InvalidPayload) as caught:
        FREE.payload(given)
    assert list(caught.value.errors) == ["non_field_errors"]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "Not a JSON value."),
        (b"bytes", "Not a JSON value."),
        ({1, 2}, "Not a JSON value."),
        (float("nan"), "Not a JSON value."),
        (float("inf"), "Not a JSON value."),
        (10**5000, "Not a JSON value."),
        ({(1, 2): 3}, "Not a JSON value."),
        (endless(), "Not a JSON value."),
        (nested(100_000), "Not a JSON value."),
        (nested(40), "Nested deeper than 32 levels."),
    ],
    ids=str.split("object bytes set nan inf int key endless abyss deep"),
)
@pytest.mark.parametrize("handler", [FREE, ORDER], ids=["free", "schema"])
def test_what_is_no_json_is_refused_by_field(handler: Handler, value: object, words: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        handler.payload({"number": 1, "lines": value})
    assert caught.value.errors == {"lines": [words]}


def test_a_field_needs_a_name() -> None:
    with pytest.raises(InvalidPayload) as caught:
        FREE.payload({3: 1})
    assert caught.value.errors == {"3": ["The name of a field must be a string."]}


def test_without_a_schema_json_values_are_taken() -> None:
    given = {"text": gettext_lazy("yes"), "pair": (1, 2), "deep": nested(20), "odd": "\ud800"}
    stored = FREE.payload(given)
    assert stored == {"text": "yes", "pair": [1, 2], "deep": nested(20), "odd": "\ud800"}
    assert FREE.validated(stored) == stored


@pytest.mark.parametrize(
    "fill",
    [lambda size: "x" * size, lambda size: "é" * (size // 2), lambda size: [1] * (size // 3)],
    ids=["letters", "accents", "list"],
)
def test_a_payload_may_have_so_many_bytes(fill: Callable[[int], Any]) -> None:
    with override_settings(RESILIENT_QUEUE={"PAYLOAD_LIMIT": 3000}):
        assert FREE.payload({"a": fill(2900)})
        with pytest.raises(PayloadTooLarge, match="free refused: more than 3000 bytes as JSON"):
            FREE.payload({"a": fill(3030)})
        with pytest.raises(PayloadTooLarge):
            FREE.payload({str(n): "" for n in range(1000)})


def test_fifty_megabytes_are_refused() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        ORDER.payload({"number": 1, "pin": "x" * 50_000_000})
    assert caught.value.errors == {"non_field_errors": ["At most 524288 bytes as JSON."]}
