"""Promises of the settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_resilient_queue.conf import Settings, settings
from tests.keys import ALL_KEYS, chosen


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


def test_an_enqueue_never_waits_longer_than_five_seconds_for_redis() -> None:
    """The promise of bounded enqueues can't be configured away."""
    with chosen(ENQUEUE_TIMEOUT=5.1), pytest.raises(ImproperlyConfigured, match=r"0\.01 and 5,"):
        settings.ENQUEUE_TIMEOUT  # noqa: B018 - reading it is the act


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


def test_limits_that_a_project_does_not_name_stay_as_they_are() -> None:
    """One is changed without a copy of all."""
    with chosen(HEALTH_LIMITS={"backlog": 5}, HEALTH_STATUS_CODES={"degraded": 200}):
        limits = settings.health_limits()
        assert (limits["backlog"], limits["queue_age"]) == (5, 300)
        assert settings.http_status_for("degraded") == 200
        assert settings.http_status_for("down") == 503
