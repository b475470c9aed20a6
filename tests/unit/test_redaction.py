"""What is hidden, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from django_resilient_queue.conf import settings
from django_resilient_queue.redaction import MASK, redact, redact_patch, unmask

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


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "access_token",
        "client_secret",
        "Authorization",
        "apiKey",
        "accessKey",
        "privateKey",
        "clientSecret",
        "accessToken",
        "X-Api-Key",
        "API KEY",
        "creditCardNumber",
    ],
)
def test_the_usual_names_are_hidden_without_a_setting(name: str) -> None:
    assert redact({name: "x"}, settings.REDACT_KEYS) == {name: MASK}


@pytest.mark.parametrize("key", ["api_key", "apiKey", "Api-Key", "API KEY", "apikey"])
def test_a_key_may_be_written_in_any_way(key: str) -> None:
    names = ("api_key", "apiKey", "api-key", "Api Key", "APIKEY")
    assert redact(dict.fromkeys(names, "x"), (key,)) == dict.fromkeys(names, MASK)


USERS = [{"user": "ann", "password": "a"}, {"user": "bob", "password": "b"}]
MASKED = [{"user": "ann", "password": MASK}, {"user": "bob", "password": MASK}]


@pytest.mark.parametrize(
    ("value", "original", "expected"),
    [
        ({"password": MASK}, {"password": "x"}, {"password": "x"}),
        ({"password": "new"}, {"password": "x"}, {"password": "new"}),
        ({"password": MASK}, {"password": {"of": "any"}}, {"password": {"of": "any"}}),
        ({"a": {"api_key": MASK, "n": 2}}, {"a": {"api_key": 1}}, {"a": {"api_key": 1, "n": 2}}),
        (MASKED, USERS, USERS),
        (MASKED[1:], USERS, USERS[1:]),
        (MASKED[::-1], USERS, USERS[::-1]),
        ([*MASKED, {"user": "eve"}], USERS, [*USERS, {"user": "eve"}]),
        (
            [{"user": "ann", "password": MASK, "new": 1}, MASKED[1]],
            USERS,
            [{"user": "ann", "password": "a", "new": 1}, USERS[1]],
        ),
        (
            [{"password": MASK}] * 2,
            [{"password": 1}, {"password": 2}],
            [{"password": 1}, {"password": 2}],
        ),
        ({"words": MASK}, {"words": MASK}, {"words": MASK}),
        ({"user": None}, None, {"user": None}),
    ],
)
def test_a_mask_that_was_left_alone_keeps_what_it_hides(
    value: object, original: object, expected: object
) -> None:
    assert unmask(value, original, KEYS) == expected


@pytest.mark.parametrize(
    ("value", "original"),
    [
        ({"password": MASK}, {}),
        ({"other_password": MASK}, {"password": "x"}),
        ({"user": MASK}, {"user": "ann"}),
        ([{"user": "eve", "password": MASK}], USERS),
        ([{"user": "eve", "password": MASK}, *MASKED], USERS),
        (MASK, None),
    ],
)
def test_a_mask_of_which_nobody_knows_what_it_hides_is_refused(
    value: object, original: object
) -> None:
    with pytest.raises(ValueError, match="mask"):
        unmask(value, original, KEYS)
