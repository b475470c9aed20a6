"""What the checks of notifications say about settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.test import override_settings
from py_vapid import Vapid02

from django_resilient_queue.handlers.business.notification import channels
from django_resilient_queue.handlers.business.notification.checks import check_notifications


def found(**settings: Any) -> list[CheckMessage]:
    with override_settings(RESILIENT_QUEUE=settings):
        return check_notifications(None)


def only(**settings: Any) -> tuple[str, str]:
    (message,) = found(**settings)
    assert message.id is not None
    return message.id.rpartition(".")[2], f"{message.msg} {message.hint}"


def key() -> str:
    vapid = Vapid02()
    vapid.generate_keys()
    return str(vapid.private_pem().decode())


def test_the_defaults_give_no_message() -> None:
    assert found() == []


def test_a_channel_that_there_is_not_is_told() -> None:
    number, words = only(NOTIFICATION_CHANNELS=["in_app", "pigeon"])
    assert number == "E121"
    assert "'pigeon'" in words
    assert "in_app, email, push, sms" in words


def test_a_channel_that_is_not_set_up_is_told() -> None:
    number, words = only(NOTIFICATION_CHANNELS=["push"], PUSH_VAPID_KEY=key())
    assert number == "E122"
    assert "PUSH_SUBJECT" in words


def test_a_channel_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "find_spec", lambda name: None)
    number, words = only(NOTIFICATION_CHANNELS=["sms"])
    assert number == "E122"
    assert 'pip install "django-resilient-queue[sms]"' in words


@pytest.mark.parametrize("setting", ["NOTIFICATION_LANGUAGE", "NOTIFICATION_PHONE"])
def test_a_function_that_there_is_not_is_told(setting: str) -> None:
    number, words = only(**{setting: "tests.nowhere.language"})
    assert number == "E123"
    assert setting in words
    assert found(**{setting: "tests.jobs.succeed"}) == []


@pytest.mark.parametrize("text", ["hush", "-----BEGIN PRIVATE KEY-----\nhush\n", "A" * 43])
def test_a_key_that_is_none_is_told_and_not_shown(text: str) -> None:
    number, words = only(PUSH_VAPID_KEY=text)
    assert number == "E124"
    assert text not in words


def test_a_key_may_be_pem_or_raw() -> None:
    assert found(PUSH_VAPID_KEY=key()) == []
    assert found(PUSH_VAPID_KEY="A" * 42 + "E") == []


def test_an_open_network_is_told() -> None:
    assert only(PUSH_PRIVATE_ADDRESSES=True)[0] == "W121"
