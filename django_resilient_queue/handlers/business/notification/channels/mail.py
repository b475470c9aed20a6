"""A mail by Django's backend."""

from __future__ import annotations

import hashlib
import smtplib
from collections.abc import Iterator

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email

from ..notice import Notice
from ..recipients import email_of
from .failures import Refused, Unavailable, Unreachable


def send(notice: Notice) -> None:
    """Send it to the user's address. Raises what tells a refusal from a busy server."""
    mail = _mail(notice)
    try:
        mail.send()
    except (smtplib.SMTPSenderRefused, smtplib.SMTPAuthenticationError) as error:
        # About this project and no user: kept until somebody has mended it.
        raise Unavailable(f"SMTP {error.smtp_code}: {type(error).__name__}") from error
    except (smtplib.SMTPException, OSError) as error:
        codes = list(_codes(error))
        reason = f"SMTP {', '.join(map(str, codes)) or '-'}: {type(error).__name__}"
        if codes and all(500 <= code < 600 for code in codes):
            raise Refused(reason) from error
        raise Unavailable(reason) from error


def missing() -> str | None:
    """Django's own settings are enough."""
    return None


def _mail(notice: Notice) -> EmailMultiAlternatives:
    address = email_of(notice.user)
    try:
        validate_email(address)
    except ValidationError:
        raise Unreachable("the user has no valid address") from None
    words = notice.words("email")
    mail = EmailMultiAlternatives(
        words.title,
        _with_link(words.message, notice.payload["link"]),
        django_settings.DEFAULT_FROM_EMAIL,
        [address],
        headers={"Message-ID": _message_id(notice), "Auto-Submitted": "auto-generated"},
    )
    if words.html:
        mail.attach_alternative(words.html, "text/html")
    return mail


def _with_link(message: str, link: str) -> str:
    return f"{message}\n\n{link}" if link.startswith("http") else message


def _message_id(notice: Notice) -> str:
    """The same at each attempt, by which a mail that arrives twice is recognised."""
    domain = django_settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ")
    name = hashlib.sha256(f"{notice.user_key}:{notice.key}".encode()).hexdigest()[:40]
    return f"<{name}@{domain or 'localhost'}>"


def _codes(error: Exception) -> Iterator[int]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        yield from (code for code, _words in error.recipients.values())
    elif isinstance(error, smtplib.SMTPResponseException):
        yield error.smtp_code
