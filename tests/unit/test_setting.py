"""Which values a key takes, by the kind of its value, and how a wrong one is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_resilient_queue.checks import check_settings
from django_resilient_queue.conf import Settings, settings
from tests.keys import NUMBER_KEYS, SECONDS_KEYS, WHOLE_KEYS, chosen

FOLDERS = "a dict of storage name to {'read': [folders], 'write': folder}"
FOLDER = "a dict whose folders are relative, as 'uploads/photos', without '..'"
ROOTS = "a dict of absolute folders, as '/srv/app/tmp', without '..' and not '/' itself"
ADDRESS = "empty, 'unix:/path/of/socket' or 'tcp://host:port'"


@pytest.mark.parametrize("key", WHOLE_KEYS)
@pytest.mark.parametrize("value", [True, 1.5, "5", None])
def test_a_whole_number_is_not_taken_from_anything_else(key: str, value: object) -> None:
    """The error names key, rule and value."""
    message = f"RESILIENT_QUEUE['{key}'] must be a whole number, not {value!r}."
    with chosen(**{key: value}), pytest.raises(ImproperlyConfigured) as caught:
        getattr(settings, key)
    assert str(caught.value) == message


@pytest.mark.parametrize("key", SECONDS_KEYS)
@pytest.mark.parametrize("value", [True, "5", None, float("nan"), float("inf")])
def test_a_time_is_a_finite_number_of_seconds(key: str, value: object) -> None:
    """The error names key, rule and value."""
    message = f"RESILIENT_QUEUE['{key}'] must be a number of seconds, not {value!r}."
    with chosen(**{key: value}), pytest.raises(ImproperlyConfigured) as caught:
        getattr(settings, key)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("DATABASE", "", "a string that is not empty"),
        ("DATABASE", None, "a string that is not empty"),
        ("KEEP_FINISHED_UNTIL_FSYNC", 1, "True or False"),
        ("OUTBOX", "yes", "True, False, or a dict of queue name to True or False"),
        ("OUTBOX", {"mail": 1}, "True, False, or a dict of queue name to True or False"),
        ("OUTBOX", {1: True}, "True, False, or a dict of queue name to True or False"),
        ("PRIORITIES", 5, "a dict of queue name to whole number"),
        ("PRIORITIES", {"mail": True}, "a dict of queue name to whole number"),
        ("PRIORITIES", {"mail": 21}, "a dict of priorities between 1 and 20"),
        ("PRIORITIES", {"mail": 0}, "a dict of priorities between 1 and 20"),
        (
            "DEAD_LETTER_RETENTION_BY_HANDLER",
            3,
            "a dict of a handler's name or a function's dotted path to whole number",
        ),
        ("DEAD_LETTER_RETENTION_BY_HANDLER", {"a.b": -1}, "a dict of days between 0 and 36500"),
        ("ARCHIVE_STORAGE", 3, "a string"),
        ("MAIL_DOMAIN", 3, "a string"),
        ("MAIL_DOMAIN", "a\nb", "empty or a domain, as 'mail.example.com'"),
        ("MAIL_ENVELOPE_SENDER", "b", "empty or an address, as 'bounces+{job}@example.com'"),
        ("MAIL_STORAGES", {"default": "out"}, "a dict of storage name to list of folders"),
        (
            "MAIL_STORAGES",
            {"default": ["../out"]},
            "a dict whose folders are relative, as 'invoices/sent', without '..'",
        ),
        ("REDACT_KEYS", "password", "a list or tuple of strings that are not empty"),
        ("REDACT_KEYS", [""], "a list or tuple of strings that are not empty"),
        ("FILE_STORAGES", ["default"], FOLDERS),
        ("FILE_STORAGES", {"default": "uploads"}, FOLDERS),
        ("FILE_STORAGES", {"default": {"read": "uploads"}}, FOLDERS),
        ("FILE_STORAGES", {"default": {"write": ["uploads"]}}, FOLDERS),
        ("FILE_STORAGES", {"default": {"delete": "uploads"}}, FOLDERS),
        ("FILE_STORAGES", {"default": {"read": ["../a"]}}, FOLDER),
        ("FILE_STORAGES", {"default": {"write": "/a"}}, FOLDER),
        ("CLEANUP_ROOTS", ["/srv/tmp"], "a dict of name to folder"),
        ("CLEANUP_ROOTS", {"a": "/"}, ROOTS),
        ("CLEANUP_ROOTS", {"a": "tmp"}, ROOTS),
        ("CLEANUP_ROOTS", {"a": "/srv/../etc"}, ROOTS),
        ("FILE_SCANNER", 3, "a string"),
        ("FILE_SCANNER", "localhost:3310", ADDRESS),
        ("FILE_SCANNER", "tcp://localhost", ADDRESS),
        ("CONCURRENCY_LIMITS", 3, "a dict of a function's dotted path to whole number"),
        ("CONCURRENCY_LIMITS", {"a.b": 0}, "a dict of numbers of at least 1"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_rule(key: str, value: object, rule: str) -> None:
    """The error names key, rule and value."""
    message = f"RESILIENT_QUEUE['{key}'] must be {rule}, not {value!r}."
    with chosen(**{key: value}), pytest.raises(ImproperlyConfigured) as caught:
        getattr(settings, key)
    assert str(caught.value) == message


@pytest.mark.parametrize("secret", ["METRICS_TOKEN", "PUSH_VAPID_KEY", "TWILIO_TOKEN"])
def test_a_secret_is_in_no_message(secret: str) -> None:
    with chosen(**{secret: b"hush"}):
        (message,) = check_settings(None)
    assert message.msg == f"RESILIENT_QUEUE[{secret!r}] must be a string, not bytes."


@pytest.mark.parametrize("key", NUMBER_KEYS)
def test_a_number_may_be_as_low_and_as_high_as_its_limits(key: str) -> None:
    """Limits are inclusive."""
    limits: Any = Settings.table()[key]
    for value in (limits.minimum, limits.maximum):
        with chosen(**{key: value}):
            assert getattr(settings, key) == value


@pytest.mark.parametrize("key", NUMBER_KEYS)
def test_a_number_below_its_minimum_is_refused(key: str) -> None:
    """The error names the limits."""
    limits: Any = Settings.table()[key]
    with (
        chosen(**{key: limits.minimum - 1}),
        pytest.raises(ImproperlyConfigured, match=rf"{key}.* must be between .* and .*, not -?\d"),
    ):
        getattr(settings, key)


@pytest.mark.parametrize("key", NUMBER_KEYS)
def test_a_number_above_its_maximum_is_refused(key: str) -> None:
    """The error names the limits."""
    limits: Any = Settings.table()[key]
    with (
        chosen(**{key: limits.maximum + 1}),
        pytest.raises(ImproperlyConfigured, match=rf"{key}.* must be between .* and .*, not \d"),
    ):
        getattr(settings, key)


def test_seconds_are_read_as_a_float_also_when_written_as_a_whole_number() -> None:
    """Lua scripts and clients get one type."""
    with chosen(LEASE=20):
        assert isinstance(settings.LEASE, float)


@pytest.mark.parametrize("value", [[], "LEASE=3", 5])
def test_settings_that_are_not_a_dict_are_refused_by_name(value: object) -> None:
    """The error names the dict."""
    with (
        override_settings(RESILIENT_QUEUE=value),
        pytest.raises(ImproperlyConfigured, match="RESILIENT_QUEUE must be a dict, not"),
    ):
        settings.LEASE  # noqa: B018 - reading it is the act


def test_the_environment_says_how_many_horses_where_the_dict_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The dict wins over the environment, and the environment over the default."""
    monkeypatch.setenv("QUEUE_CONCURRENCY", "7")
    with chosen():
        assert settings.CONCURRENCY == 7
    with chosen(CONCURRENCY=3):
        assert settings.CONCURRENCY == 3
    monkeypatch.setenv("QUEUE_CONCURRENCY", "")
    with chosen():
        assert settings.CONCURRENCY == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [("two", "a whole number"), ("0", "between 1 and 256"), ("1.5", "a whole number")],
)
def test_a_wrong_value_in_the_environment_is_named_with_the_rule(
    monkeypatch: pytest.MonkeyPatch, text: str, rule: str
) -> None:
    """The error names the variable, as there is no key to name."""
    monkeypatch.setenv("QUEUE_CONCURRENCY", text)
    message = f"The environment variable QUEUE_CONCURRENCY must be {rule}, not {text!r}."
    with chosen(), pytest.raises(ImproperlyConfigured) as caught:
        _ = settings.CONCURRENCY
    assert str(caught.value) == message
    assert [error.msg for error in check_settings(None)] == [message]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("HEALTH_LIMITS", {"backlogs": 5}, "(limit: queue_age, backlog,"),
        ("HEALTH_LIMITS", {"backlog": -1}, "a dict of numbers of at least 0"),
        ("HEALTH_STATUS_CODES", {"ill": 503}, "(status: healthy, degraded, critical, down)"),
        ("HEALTH_STATUS_CODES", {"down": 99}, "a dict of HTTP status codes between 200 and 599"),
    ],
)
def test_a_limit_that_there_is_not_is_refused_with_the_names_there_are(
    key: str, value: object, words: str
) -> None:
    """A misspelt one would be without effect."""
    with chosen(**{key: value}), pytest.raises(ImproperlyConfigured) as raised:
        getattr(settings, key)
    assert words in str(raised.value)
    with chosen(**{key: value}):
        assert words in check_settings(None)[0].msg
