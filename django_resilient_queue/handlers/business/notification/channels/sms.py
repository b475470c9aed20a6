"""A short message by Twilio."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .....conf import settings
from ..notice import Notice
from ..recipients import phone_of
from ..wording import shortened
from .failures import NotTaken, Refused, Unavailable, Unreachable

_LONGEST = 1600  # characters, Twilio's limit
_BUSY = (408, 425, 429)
# Errors about our account: kept until somebody has mended it.
_ABOUT_US = {
    20003,  # authentication
    20005,  # account not active
    21603,  # no sender
    21606,  # the sender is not ours
    21659,  # the sender is no number of ours
    21212,  # invalid sender
    63038,  # the account's limit of a day
}


def send(notice: Notice) -> None:
    """Hand it to Twilio. Raises what tells the user's number from a busy service."""
    import requests
    from twilio.base.exceptions import TwilioException

    number = _number(notice)
    sender = settings.TWILIO_SENDER
    by = "messaging_service_sid" if re.fullmatch("MG[0-9a-f]{32}", sender) else "from_"
    client = _client()
    try:
        client.messages.create(to=number, body=_text(notice), **{by: sender})
    except TwilioException as error:
        raise _failure(error) from error
    except requests.RequestException as error:
        raise Unavailable(type(error).__name__) from error
    finally:
        client.http_client.session.close()


def missing() -> str | None:
    """Name the settings that are empty."""
    names = ("TWILIO_ACCOUNT", "TWILIO_TOKEN", "TWILIO_SENDER")
    return ", ".join(name for name in names if not getattr(settings, name)) or None


def _number(notice: Notice) -> str:
    """Return the user's number as E.164 has it."""
    import phonenumbers

    try:
        # Without a region: a number that does not say its country is refused, not guessed.
        found = phonenumbers.parse(phone_of(notice.user), None)
    except phonenumbers.NumberParseException:
        raise Unreachable("the user has no number in the form of E.164") from None
    if not phonenumbers.is_valid_number(found):
        raise Unreachable("the user's number is not valid")
    return str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164))


def _text(notice: Notice) -> str:
    words = notice.words("sms")
    link = notice.payload["link"]
    tail = f" {link}" if link.startswith("http") else ""
    head = ": ".join(part for part in (words.title, words.message) if part)
    return shortened(head, _LONGEST - len(tail)) + tail


def _client() -> Any:
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Elsewhere(TwilioHttpClient):  # type: ignore[misc]  # it has no types
        """Sends to TWILIO_URL what is for Twilio."""

        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            base = settings.TWILIO_URL.rstrip("/")
            path = urlsplit(url)._replace(scheme="", netloc="").geturl()
            return super().request(method, base + path if base else url, *args, **kwargs)

    http = Elsewhere(timeout=settings.NOTIFICATION_TIMEOUT)
    return Client(settings.TWILIO_ACCOUNT, settings.TWILIO_TOKEN, http_client=http)


def _failure(error: Any) -> NotTaken:
    # Its message repeats the number.
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    reason = f"HTTP {status}, Twilio {code}"
    if status is None or status >= 500 or status in _BUSY or status in (401, 403):
        return Unavailable(reason)
    return Unavailable(reason) if code in _ABOUT_US else Refused(reason)
