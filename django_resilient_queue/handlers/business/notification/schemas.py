"""What a payload of user:notification says, and what users send about themselves."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from uuid import uuid4
from zoneinfo import available_timezones

from django.core.validators import RegexValidator, URLValidator
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ....conf import settings
from ....exceptions import MissingExtra
from ...schemas import storable
from .channels import CHANNELS, mail
from .endpoints import ForbiddenEndpoint, check_endpoint
from .recipients import find_user
from .wording import LONGEST_TITLE, html_exists, template_exists

NAME = "user:notification"
_LONGEST_MESSAGE = 10_000
_MOST_KEYS = 100
_POINT, _AUTH = 65, 16  # bytes of a browser's public key and of its secret
_web_address = URLValidator(schemes=["http", "https"])


def _slug(**options: Any) -> serializers.RegexField:
    return serializers.RegexField(r"^[a-z0-9][a-z0-9_.-]*\Z", max_length=64, **options)


def _title(**options: Any) -> serializers.CharField:
    line = RegexValidator(r"[\x00-\x1f\x7f\u2028\u2029]", _("One line."), inverse_match=True)
    return serializers.CharField(max_length=LONGEST_TITLE, validators=[line], **options)


def _channels() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=list(CHANNELS)),
        default=lambda: list(settings.NOTIFICATION_CHANNELS),
        allow_empty=False,
        max_length=len(CHANNELS),
    )


class Translation(serializers.Serializer[Any]):
    """The words in one language."""

    title = _title(required=False)
    message = serializers.CharField(max_length=_LONGEST_MESSAGE)


class UserNotification(serializers.Serializer[Any]):
    """``message`` or ``template``; ``key`` makes two payloads the same notification."""

    user = serializers.CharField(max_length=255)  # its key
    title = _title(default="", allow_blank=True)
    message = serializers.CharField(default="", allow_blank=True, max_length=_LONGEST_MESSAGE)
    type = _slug(default="general")
    template = _slug(default="", allow_blank=True)
    variables = serializers.DictField(default=dict, validators=[storable])
    translations = serializers.DictField(child=Translation(), default=dict)
    channels = _channels()
    mode = serializers.ChoiceField(choices=["all", "first"], default="all")
    link = serializers.CharField(default="", allow_blank=True, max_length=500)
    data = serializers.DictField(  # type: ignore[assignment]  # the metaclass takes it away
        default=dict, validators=[storable]
    )
    key = serializers.RegexField(r"^[A-Za-z0-9_:.-]+\Z", max_length=64, default=lambda: uuid4().hex)

    def validate_user(self, key: str) -> str:
        """Look the user up, where the database answers; the worker does in any case."""
        try:
            found = find_user(key)
        except (OperationalError, InterfaceError):
            return key
        if found is None:
            raise serializers.ValidationError(_("No active user has this key."), "unknown")
        return key

    def validate_template(self, name: str) -> str:
        """Ask for the template's message."""
        if name and not template_exists(name):
            words = _("There is no notifications/%s/message.txt.") % name
            raise serializers.ValidationError(words, "unknown")
        return name

    def validate_channels(self, names: list[str]) -> list[str]:
        """Take each once, and none that can't be. Raises MissingExtra for what is not installed."""
        for name in dict.fromkeys(names):
            if name not in CHANNELS:  # from the settings
                raise serializers.ValidationError(_("%s is no channel.") % name, "unknown")
            channel = CHANNELS[name]
            if modules := channel.missing_modules:
                raise MissingExtra(NAME, modules, channel.extra)
            if keys := channel.missing():
                words = _("%(channel)s is not set up: %(keys)s.")
                message = words % {"channel": name, "keys": keys}
                raise serializers.ValidationError(message, "not_set_up")
        return list(dict.fromkeys(names))

    def validate_link(self, link: str) -> str:
        """Take a web address or a path of the project."""
        if link.startswith("/") and not link.startswith(("//", "/\\")) and link.isprintable():
            return link
        if link:
            _web_address(link)
        return link

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want words. Raises MissingExtra for HTML that can't be sent."""
        if not (attrs["message"].strip() or attrs["template"]):
            raise serializers.ValidationError(
                {"message": [_("Give a message or a template.")]}, "required"
            )
        if "email" in attrs["channels"] and html_exists(attrs["template"]):
            mail.require_html()
        return attrs


class ReadMarks(serializers.Serializer[Any]):
    """Either ``ids``, or ``until``: all up to this one."""

    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=1000,
    )
    until = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want one of them."""
        if ("ids" in attrs) == ("until" in attrs):
            raise serializers.ValidationError({"ids": [_("Give either ids or until.")]}, "required")
        return attrs


class PageOfNotifications(serializers.Serializer[Any]):
    """Which part of the list is wanted; ``before`` is the ``next`` of the page before it."""

    before = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, default=None, allow_null=True
    )
    limit = serializers.IntegerField(min_value=1, max_value=100, default=20)
    unread = serializers.BooleanField(default=False)


class _Keys(serializers.Serializer[Any]):
    p256dh = serializers.CharField(max_length=100)
    auth = serializers.CharField(max_length=32)

    def validate_p256dh(self, text: str) -> str:
        """Want a point of P-256, uncompressed."""
        if len(raw := _decoded(text)) != _POINT or raw[0] != 4 or not _is_on_curve(raw):
            raise serializers.ValidationError(_("Not a public key of P-256."), "invalid")
        return text

    def validate_auth(self, text: str) -> str:
        """Want sixteen bytes."""
        if len(_decoded(text)) != _AUTH:
            raise serializers.ValidationError(_("Not 16 bytes as base64url."), "invalid")
        return text


class Endpoint(serializers.Serializer[Any]):
    """A browser's, as ``PushManager.subscribe()`` gives it."""

    endpoint = serializers.CharField(max_length=2000)


class Subscription(Endpoint):
    """The same with its keys."""

    keys = _Keys()

    def validate_endpoint(self, url: str) -> str:
        """Take none within the own network."""
        try:
            check_endpoint(url)
        except ForbiddenEndpoint as error:
            raise serializers.ValidationError(str(error), "forbidden") from None
        return url


class Preference(serializers.Serializer[Any]):
    """A channel on or off: for one type, or for all that have none of their own."""

    channel = serializers.ChoiceField(choices=list(CHANNELS))
    type = _slug(default="", allow_blank=True)
    enabled = serializers.BooleanField()


class Hours(serializers.Serializer[Any]):
    """Quiet hours of a day."""

    begins = serializers.TimeField()
    ends = serializers.TimeField()
    time_zone = serializers.CharField(max_length=64)

    def validate_time_zone(self, name: str) -> str:
        """Want a name of the IANA's."""
        if name not in available_timezones():
            raise serializers.ValidationError(_("Not a time zone, as Europe/Berlin."), "unknown")
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse hours without a length."""
        if attrs["begins"] == attrs["ends"]:
            raise serializers.ValidationError({"ends": [_("Not the same as begins.")]}, "invalid")
        return attrs


class Preferences(serializers.Serializer[Any]):
    """What changes; ``quiet_hours`` of null are none."""

    preferences = serializers.ListField(child=Preference(), default=list, max_length=_MOST_KEYS)
    quiet_hours = Hours(required=False, allow_null=True)


class UnreadableBody(Exception):
    """What a user has sent is not taken; ``errors`` says why, by field."""

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__(errors)
        self.errors = errors


def checked(schema: type[serializers.Serializer[Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a schema makes of a request's body. Raises UnreadableBody."""
    found = schema(data=given)
    if not found.is_valid():
        raise UnreadableBody(dict(found.errors))
    return dict(found.validated_data)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_on_curve(point: bytes) -> bool:
    """By its equation: the library that knows may not be installed where browsers register."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return x < p and y < p and (y * y - (x * x * x - 3 * x + b)) % p == 0


class ReadNotifications(serializers.Serializer[Any]):
    """Of the task read_notifications: ``older_than`` is in seconds, since its user read it."""

    older_than = serializers.IntegerField(
        default=90 * 86_400, min_value=60, max_value=3650 * 86_400
    )
