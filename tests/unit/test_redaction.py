"""What is hidden, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from django_resilient_queue.conf import settings
from django_resilient_queue.redaction import MASK, redact, redact_patch

KEYS = ("password", "api_key")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x", "user": "ann"}, {"password": MASK, "user": "ann"}),
        ({"new_password_2": "x"}, {"new_password_2": MASK}),
        ({"Api-Key": "x"}, {"Api-Key": MASK}),
        ({"a": {"b": [{"password": {"of": "any"}}]}}, {"a": {"b": [{"password": MASK}]}}),
        ([{"password": 1}, "password"], [{"password": MASK}, "password"]),
        (("a", 1), ["a", 1]),
        ("password=x", "password=x"),
        (None, None),
        ({1: {"password": "x"}}, {1: {"password": MASK}}),
    ],
)
def test_values_under_telling_names_are_masked_at_any_depth(value: object, shown: object) -> None:
    assert redact(value, KEYS) == shown


def test_the_original_is_left_alone() -> None:
    value = {"a": {"password": "x"}}
    redact(value, KEYS)
    assert value == {"a": {"password": "x"}}


def test_a_patch_is_masked_by_its_paths() -> None:
    patch: list[dict[str, Any]] = [
        {"op": "replace", "path": "/kwargs/password", "value": "x"},
        {"op": "add", "path": "/kwargs/user", "value": {"name": "ann", "api_key": "x"}},
        {"op": "remove", "path": "/kwargs/old"},
    ]
    assert redact_patch(patch, KEYS) == [
        {"op": "replace", "path": "/kwargs/password", "value": MASK},
        {"op": "add", "path": "/kwargs/user", "value": {"name": "ann", "api_key": MASK}},
        {"op": "remove", "path": "/kwargs/old"},
    ]


def test_what_is_too_deep_to_look_through_is_masked() -> None:
    value: dict[str, object] = {"password": "x"}
    for _ in range(1000):
        value = {"a": value}
    assert "'x'" not in str(redact(value, KEYS))


@pytest.mark.parametrize("name", ["password", "access_token", "client_secret", "Authorization"])
def test_the_usual_names_are_hidden_without_a_setting(name: str) -> None:
    assert redact({name: "x"}, settings.REDACT_KEYS) == {name: MASK}
