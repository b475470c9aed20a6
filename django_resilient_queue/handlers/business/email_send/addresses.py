"""Addresses: what is one, who may be the sender, and whom bounces go to."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from email.utils import formataddr, parseaddr

from django.conf import settings as django_settings

from ....conf import settings

_LONGEST_LOCAL_PART = 64  # RFC 5321
_PLAIN = re.compile(r"[A-Za-z0-9.=_+-]+")
_NAMED = re.compile(r"(?P<name>[^<>()\[\]@,;:\\\"\x00-\x1f]*?) *<(?P<email>[^<>]+)>")
JOB, RECIPIENT = "{job}", "{recipient}"


@dataclass(frozen=True, slots=True)
class Address:
    """``email`` is ASCII, its domain as in DNS."""

    email: str
    name: str = ""

    def __str__(self) -> str:
        """Write it as in a header, with the name encoded."""
        return formataddr((self.name, self.email))

    @property
    def domain(self) -> str:
        """What comes after the @."""
        return self.email.rpartition("@")[2]

    @property
    def key(self) -> str:
        """Two addresses with the same key are one mailbox."""
        local, _, domain = self.email.rpartition("@")
        return f"{local}@{domain.lower()}"


def parse(text: str) -> Address:
    """Return ``Ann <ann@example.com>`` or ``ann@example.com`` as an address.

    Raises ValueError, in words for who wrote it. Asks no name server.
    """
    from email_validator import validate_email

    # The library takes a name that is not ASCII between quotes only.
    named = _NAMED.fullmatch(text)
    found = validate_email(
        named["email"] if named else text,
        allow_smtputf8=False,
        allow_display_name=not named,
        check_deliverability=False,
    )
    name = named["name"] if named else found.display_name
    # Without SMTPUTF8 there is an ASCII form, or the address was refused.
    return Address(found.ascii_email or found.normalized, name or "")


def default_sender() -> Address:
    """Return Django's DEFAULT_FROM_EMAIL, which need not be an address of the internet."""
    name, email = parseaddr(str(django_settings.DEFAULT_FROM_EMAIL))
    return Address(email, name)


def may_send(sender: Address) -> bool:
    """Tell whether the project lets jobs send in this name."""
    allowed = {each.lower() for each in settings.MAIL_SENDERS} | {default_sender().email.lower()}
    return bool({sender.email.lower(), f"@{sender.domain.lower()}"} & allowed)


def bounces_differ() -> bool:
    """Tell whether every recipient has an envelope sender of its own (VERP)."""
    return RECIPIENT in settings.MAIL_ENVELOPE_SENDER


def envelope_sender(sender: Address, token: str, recipient: Address | None = None) -> str:
    """Return whom bounces go to: MAIL_ENVELOPE_SENDER, or else the sender.

    *token* names the job in it; without a *recipient* it stands in for that, too.
    """
    pattern = settings.MAIL_ENVELOPE_SENDER
    if not pattern:
        return sender.email
    local, _, domain = pattern.rpartition("@")
    local = local.replace(JOB, token)
    named = recipient.email.replace("@", "=") if recipient else token
    written = local.replace(RECIPIENT, named)
    if len(written) > _LONGEST_LOCAL_PART or not _PLAIN.fullmatch(written):
        digest = hashlib.sha256(named.encode()).hexdigest()[:16]
        written = local.replace(RECIPIENT, digest)
    return f"{written}@{domain}"
