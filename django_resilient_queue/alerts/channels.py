"""The channels by name. Each sends one notice or raises; none retries, for its caller does."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import mail_admins
from django.utils.module_loading import import_string
from rq.timeouts import UnixSignalDeathPenalty

from .. import events, signals
from ..conf import settings
from ..exceptions import MissingExtra
from ..models import Alert
from ..models.alert import Kind, Severity
from ..setting.base import NAME
from .notice import Notice
from .webhook import key_of, post

Channel = Callable[[Notice], object]
_LEVELS = {
    Severity.CRITICAL.value: logging.CRITICAL,
    Severity.WARNING.value: logging.WARNING,
    Severity.INFO.value: logging.INFO,
    Severity.SUCCESS.value: logging.WARNING,  # as loud as most beginnings
}
_EVENTS = {
    Kind.FIRED.value: events.ALERT_FIRED,
    Kind.REMINDER.value: events.ALERT_REMINDER,
    Kind.RESOLVED.value: events.ALERT_RESOLVED,
    Kind.TEST.value: events.ALERT_TEST,
}
_APPRISE = {"critical": "failure", "warning": "warning", "info": "info", "success": "success"}


class ChannelTimeout(Exception):
    """Sending took longer than ALERT_TIMEOUT."""


def send(name: str, notice: Notice) -> None:
    """Send over one channel within ALERT_TIMEOUT; in a process whose main thread has nothing else
    to do. Raises what the channel raises, ChannelTimeout, and ImproperlyConfigured."""
    channel = channel_of(name)
    with UnixSignalDeathPenalty(math.ceil(settings.ALERT_TIMEOUT), ChannelTimeout):
        channel(notice)


def channel_of(name: str) -> Channel:
    """Return a channel by its name or dotted path. Raises ImproperlyConfigured."""
    if name in CHANNELS:
        return CHANNELS[name]
    try:
        found = import_string(name)
    except ImportError as error:
        known = ", ".join(CHANNELS)
        raise ImproperlyConfigured(
            f"{NAME}['ALERT_CHANNELS'] has {name!r}, which is neither one of {known}"
            f" nor can be imported: {error}"
        ) from error
    if not callable(found):
        raise ImproperlyConfigured(f"{NAME}['ALERT_CHANNELS'] has {name!r}: it can't be called.")
    channel: Channel = found
    return channel


def problem_of(name: str) -> str:
    """Say what a channel lacks to send anything, "" when it lacks nothing; sends nothing."""
    try:
        channel_of(name)
        if name == "webhook":
            _webhook_settings()
        if name == "apprise":
            _apprise_sender()
    except (ImproperlyConfigured, MissingExtra) as error:
        return str(error).rstrip(".")
    return "ADMINS is empty" if name == "mail" and not django_settings.ADMINS else ""


def log(notice: Notice) -> None:
    """Write a line to the log."""
    _EVENTS[notice.kind].log(
        level=_LEVELS[notice.severity],
        rule=notice.rule,
        key=notice.key,
        severity=notice.severity,
        since=notice.since.isoformat(timespec="seconds"),
        words=notice.message,
    )


def mail(notice: Notice) -> None:
    """Send to ADMINS."""
    mail_admins(notice.title, notice.text)


def webhook(notice: Notice) -> None:
    """Post to ALERT_WEBHOOK_URL."""
    url, secret = _webhook_settings()
    post(url, secret, notice, timeout=settings.ALERT_TIMEOUT)


def apprise(notice: Notice) -> None:
    """Send to ALERT_APPRISE_URLS."""
    kind = _APPRISE[notice.severity]
    if not _apprise_sender().notify(body=notice.text, title=notice.title, notify_type=kind):
        raise ConnectionError("Apprise could not send to each of ALERT_APPRISE_URLS")


def _webhook_settings() -> tuple[str, str]:
    url, secret = settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET
    if urlsplit(url).scheme not in ("http", "https"):
        raise ImproperlyConfigured(f"{NAME}['ALERT_WEBHOOK_URL'] must be an https:// address.")
    if not key_of(secret):
        raise ImproperlyConfigured(f"{NAME}['ALERT_WEBHOOK_SECRET'] must not be empty.")
    return url, secret


def _apprise_sender() -> Any:
    try:
        from apprise import Apprise
    except ImportError as error:
        raise MissingExtra("the alert channel apprise", ["apprise"], "alerts") from error
    if not settings.ALERT_APPRISE_URLS:
        raise ImproperlyConfigured(f"{NAME}['ALERT_APPRISE_URLS'] must not be empty.")
    sender = Apprise()
    for url in settings.ALERT_APPRISE_URLS:
        if not sender.add(url):
            # Such a URL holds tokens: it is not repeated.
            raise ImproperlyConfigured(f"{NAME}['ALERT_APPRISE_URLS'] has what Apprise can't read.")
    return sender


def send_signal(notice: Notice) -> None:
    """Send Django's signal `alert_notified`."""
    for receiver, answer in signals.alert_notified.send_robust(Alert, notice=notice):
        if isinstance(answer, Exception) and notice.kind == Kind.TEST:
            raise answer
        if isinstance(answer, Exception):
            events.ALERT_RECEIVER_FAILED.log(receiver=repr(receiver), error=answer)


CHANNELS: Mapping[str, Channel] = {
    "log": log,
    "signal": send_signal,
    "mail": mail,
    "webhook": webhook,
    "apprise": apprise,
}
