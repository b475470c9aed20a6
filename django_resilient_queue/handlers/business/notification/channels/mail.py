"""A mail, made and handed over as those of email:send are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .....exceptions import MissingExtra
from ....registry import is_installed
from ...email_send.addresses import Address
from ...email_send.delivery import deliver
from ...email_send.errors import MailPostponed, MailRefused
from ...email_send.letter import Letter
from ...email_send.record import Record
from ..notice import Notice
from ..recipients import email_of
from ..wording import Words, shortened
from .failures import Refused, Unavailable, Unreachable

_INLINER, _EXTRA = "css_inline", "mail"
_LONGEST_SUBJECT = 78  # of one that is made of the message: a line, as RFC 5322 wants it


def send(notice: Notice) -> None:
    """Send it to the user's address. Raises what tells a refusal from a busy server."""
    token = _token(notice)
    data = _data(notice)
    try:
        # One recipient, whom the records of the notification tell of: the job has none of its own.
        deliver(Letter(data, token), Record(None, token))
    except MailRefused as error:
        raise Refused(str(error)) from error
    except MailPostponed as error:
        raise Unavailable(str(error)) from error


def missing() -> str | None:
    """Django's own settings are enough."""
    return None


def require_html() -> None:
    """Raise MissingExtra where no HTML can be sent; text needs nothing."""
    if not is_installed(_INLINER):
        raise MissingExtra("HTML of the channel email", [_INLINER], _EXTRA)


def _data(notice: Notice) -> Mapping[str, Any]:
    """Return what a mail is made of, as the schema of email:send would."""
    address = _address(email_of(notice.user))
    words = notice.words("email")
    if words.html:
        try:
            require_html()
        except MissingExtra as error:
            raise Unavailable(str(error)) from error
    return {
        "to": [address],
        "subject": words.title or _first_line(words),
        "body": _with_link(words.message, notice.payload["link"]),
        "html": words.html,
        "inline_css": True,
        "headers": {"Auto-Submitted": "auto-generated"},
    }


def _address(email: str) -> Address:
    try:
        validate_email(email)
        local, _, domain = email.rpartition("@")
        return Address(f"{local}@{domain.encode('idna').decode()}")
    except (ValidationError, UnicodeError):
        raise Unreachable("the user has no valid address") from None


def _first_line(words: Words) -> str:
    line, _, _rest = words.message.partition("\n")
    return shortened(line.strip(), _LONGEST_SUBJECT)


def _with_link(message: str, link: str) -> str:
    return f"{message}\n\n{link}" if link.startswith("http") else message


def _token(notice: Notice) -> str:
    """The same at each attempt: a mail that arrives twice is recognised by it."""
    name = f"{notice.user_key}:{notice.key}"
    return hashlib.sha256(name.encode()).hexdigest()[:40]
