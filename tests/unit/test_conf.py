"""Promises of the settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_resilient_queue.checks import check_settings
from django_resilient_queue.conf import Settings, settings

WHOLE_KEYS = [
    "FAILURE_THRESHOLD",
    "DRAIN_BATCH",
    "RESCUE_LIMIT",
    "CONCURRENCY",
    "REMOVE_ON_COMPLETE",
    "REMOVE_ON_FAIL",
    "PREFETCH",
    "HORSE_MAX_JOBS",
    "PAYLOAD_LIMIT",
    "API_THREADS",
    "HORSE_MAX_RSS",
    "DEAD_LETTER_RETENTION_DAYS",
    "SETTLED_LETTER_RETENTION_DAYS",
    "FILE_SIZE_LIMIT",
    "FILE_UNPACKED_LIMIT",
    "FILE_PIXELS",
    "FILE_PAGES",
    "FILE_VIDEO_SECONDS",
    "FILE_MEMORY",
    "EXPORT_DAYS",
    "EXPORT_PDF_ROWS",
    "MAIL_SIZE_LIMIT",
    "NOTIFICATION_RECORD_DAYS",
    "ALERT_TRIES",
    "METRICS_TYPES",
]
SECONDS_KEYS = [
    "RECOVERY_TIMEOUT",
    "RESET_TIMEOUT",
    "HEALTH_CHECK_INTERVAL",
    "ENQUEUE_TIMEOUT",
    "WORKER_TIMEOUT",
    "DATABASE_TIMEOUT",
    "PUSH_DEADLINE",
    "SETTLED_KEEP",
    "LEASE",
    "HEARTBEAT_INTERVAL",
    "PROBE_INTERVAL",
    "KILL_GRACE",
    "API_TIMEOUT",
    "FILE_TIMEOUT",
    "FILE_SCAN_TIMEOUT",
    "MAIL_TIMEOUT",
    "NOTIFICATION_TIMEOUT",
    "ALERT_INTERVAL",
    "ALERT_CALM",
    "ALERT_REMIND",
    "ALERT_TIMEOUT",
    "METRICS_INTERVAL",
]
OTHER_KEYS = [
    "OUTBOX",
    "DATABASE",
    "PRIORITIES",
    "CONCURRENCY_LIMITS",
    "DEAD_LETTER_RETENTION_BY_HANDLER",
    "ARCHIVE_STORAGE",
    "REDACT_KEYS",
    "API_SCOPE",
    "HEALTH_LIMITS",
    "HEALTH_STATUS_CODES",
    "EXPORT_STORAGE",
    "EXPORT_SPOOL",
    "EXPORT_PDF_FONT",
    "EXPORT_URL",
    "KEEP_FINISHED_UNTIL_FSYNC",
    "FILE_STORAGES",
    "FILE_SCANNER",
    "MAIL_BACKENDS",
    "MAIL_SENDERS",
    "MAIL_ENVELOPE_SENDER",
    "MAIL_DOMAIN",
    "MAIL_TEMPLATES",
    "MAIL_STORAGES",
    "METRICS_TOKEN",
    "NOTIFICATION_CHANNELS",
    "NOTIFICATION_URGENT_TYPES",
    "NOTIFICATION_LANGUAGE",
    "NOTIFICATION_PHONE",
    "PUSH_VAPID_KEY",
    "PUSH_SUBJECT",
    "PUSH_PRIVATE_ADDRESSES",
    "TWILIO_ACCOUNT",
    "TWILIO_TOKEN",
    "TWILIO_SENDER",
    "TWILIO_URL",
    "ALERT_CHANNELS",
    "ALERT_RULES_OFF",
    "ALERT_DELAYS",
    "ALERT_WEBHOOK_URL",
    "ALERT_WEBHOOK_SECRET",
    "ALERT_APPRISE_URLS",
    "CLEANUP_ROOTS",
]
FOLDERS = "a dict of storage name to {'read': [folders], 'write': folder}"
FOLDER = "a dict whose folders are relative, as 'uploads/photos', without '..'"
ROOTS = "a dict of absolute folders, as '/srv/app/tmp', without '..' and not '/' itself"
ADDRESS = "empty, 'unix:/path/of/socket' or 'tcp://host:port'"
NUMBER_KEYS = [*WHOLE_KEYS, *SECONDS_KEYS]
ALL_KEYS = [*NUMBER_KEYS, *OTHER_KEYS]


def chosen(**values: object) -> override_settings:
    """Override the project's dict."""
    return override_settings(RESILIENT_QUEUE=values)


def test_the_keys_under_test_are_all_the_keys_there_are() -> None:
    """A new key has to join the promises below."""
    assert sorted(Settings.table()) == sorted(ALL_KEYS)


@pytest.mark.parametrize("key", ALL_KEYS)
@override_settings()
def test_a_project_without_the_dict_gets_every_default(key: str) -> None:
    """The package works with two entries in INSTALLED_APPS and nothing else."""
    from django.conf import settings as django_settings

    if hasattr(django_settings, "RESILIENT_QUEUE"):
        del django_settings.RESILIENT_QUEUE
    assert getattr(settings, key) == Settings.table()[key].default


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_default_obeys_its_own_rules(key: str) -> None:
    """What we ship is valid when a project writes it down."""
    default = Settings.table()[key].default
    with chosen(**{key: default}):
        assert getattr(settings, key) == default


def test_a_key_asked_of_the_class_gives_its_description_and_not_the_value_in_force() -> None:
    """Documentation is made without a project."""
    with chosen(LEASE=20):
        assert (Settings.LEASE.name, Settings.LEASE.default) == ("LEASE", 10)


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_setting_says_in_one_sentence_what_it_does(key: str) -> None:
    """The documentation is made from these sentences."""
    assert Settings.table()[key].help_text.endswith(".")


def test_a_value_counts_from_the_moment_it_is_overridden_until_the_end_of_the_override() -> None:
    """Nothing is cached, so tests of a project can change settings."""
    with chosen(LEASE=20):
        assert settings.LEASE == 20
        with chosen(LEASE=30):
            assert settings.LEASE == 30
        assert settings.LEASE == 20


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


def test_an_enqueue_never_waits_longer_than_five_seconds_for_redis() -> None:
    """The promise of bounded enqueues can't be configured away."""
    with chosen(ENQUEUE_TIMEOUT=5.1), pytest.raises(ImproperlyConfigured, match=r"0\.01 and 5,"):
        settings.ENQUEUE_TIMEOUT  # noqa: B018 - reading it is the act


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


@pytest.mark.parametrize("switch", [True, False])
def test_one_outbox_switch_counts_for_every_queue(switch: bool) -> None:
    """True and False are for all queues."""
    with chosen(OUTBOX=switch):
        assert settings.outbox_for("mail") is switch


def test_the_outbox_is_on_for_queues_that_the_dict_does_not_name() -> None:
    """Forgetting a queue must not cost its durability."""
    with chosen(OUTBOX={"mail": False}):
        assert [settings.outbox_for("mail"), settings.outbox_for("other")] == [False, True]


def test_a_queue_without_a_priority_has_the_normal_one() -> None:
    """Between the queues named low and high."""
    with chosen(PRIORITIES={"mail": 7}):
        assert [settings.priority_for("mail"), settings.priority_for("other")] == [7, 5]


def test_the_four_conventional_queues_have_their_priorities_by_default() -> None:
    """critical before high before default before low."""
    with chosen():
        names = ["critical", "high", "default", "low"]
        assert [settings.priority_for(name) for name in names] == [15, 10, 5, 1]


def test_the_default_priorities_cannot_be_changed_through_the_settings() -> None:
    """They are shared by the whole process."""
    priorities: Any = Settings.table()["PRIORITIES"].default
    with pytest.raises(TypeError):
        priorities["mail"] = 20


def test_settled_ids_must_outlive_every_push_on_its_way() -> None:
    """Otherwise a late push of a finished job would be taken for a new one."""
    with chosen(SETTLED_KEEP=60, PUSH_DEADLINE=60):
        [problem] = settings.cross_problems()
    assert problem == (
        "RESILIENT_QUEUE['SETTLED_KEEP'] must be more than PUSH_DEADLINE, but 60 <= 60"
    )


def test_a_lease_must_have_room_for_three_heartbeats() -> None:
    """Otherwise two late heartbeats make a live worker look dead."""
    with chosen(HEARTBEAT_INTERVAL=4, LEASE=10):
        [problem] = settings.cross_problems()
    assert problem == (
        "RESILIENT_QUEUE['HEARTBEAT_INTERVAL'] must be at most a third of LEASE, but 4 > 10 / 3"
    )


@pytest.mark.parametrize("heartbeat", [0.1, 0.7, 1, 1.1])
def test_a_lease_of_exactly_three_heartbeats_is_enough(heartbeat: float) -> None:
    """Binary fractions must not turn a third into more than a third."""
    with chosen(HEARTBEAT_INTERVAL=heartbeat, LEASE=round(heartbeat * 3, 2)):
        assert settings.cross_problems() == []


def test_the_defaults_do_not_contradict_each_other() -> None:
    """Across keys, too."""
    with chosen():
        assert settings.cross_problems() == []


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


def test_limits_that_a_project_does_not_name_stay_as_they_are() -> None:
    """One is changed without a copy of all."""
    with chosen(HEALTH_LIMITS={"backlog": 5}, HEALTH_STATUS_CODES={"degraded": 200}):
        limits = settings.health_limits()
        assert (limits["backlog"], limits["queue_age"]) == (5, 300)
        assert settings.http_status_for("degraded") == 200
        assert settings.http_status_for("down") == 503


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
