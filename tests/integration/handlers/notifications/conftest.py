"""A user with an address, a number and a browser, and the peers that these lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from pytest_django import Settings

from tests import peers

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@pytest.fixture
def push() -> Iterator[peers.PushService]:
    service = peers.PushService()
    with peers.running(service):
        yield service


@pytest.fixture
def twilio() -> Iterator[peers.Twilio]:
    server = peers.Twilio()
    with peers.running(server):
        yield server


@pytest.fixture
def mail(settings: Settings) -> Iterator[peers.MailServer]:
    with peers.mail_server() as (server, port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        yield server


@pytest.fixture
def set_up(push: peers.PushService, twilio: peers.Twilio, settings: Settings) -> None:
    """Every channel; a user's language and number are where a user has room for them."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **peers.settings_for(push, twilio)}


@pytest.fixture
def browser(push: peers.PushService) -> peers.Browser:
    return push.browser()


@pytest.fixture
def ann(set_up: None, browser: peers.Browser) -> User:
    from tests.integration.handlers.notifications.notices import ann_with

    return ann_with(browser)
