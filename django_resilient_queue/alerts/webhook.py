"""Signed posts as the Standard Webhooks specification has them: its libraries verify them.

The signature is the HMAC-SHA256 of id, timestamp and body, joined by full stops.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from http.client import HTTPMessage
from typing import IO
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.core.exceptions import ImproperlyConfigured

from ..setting.base import NAME
from .notice import Notice

_PREFIX = "whsec_"


class _NoRedirects(HTTPRedirectHandler):
    """A signed message goes where it was sent to, and nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none: the answer is an error."""


def post(url: str, secret: str, notice: Notice, *, timeout: float) -> None:
    """Post a notice as JSON. Raises OSError (URLError) when it is not taken with a 2xx."""
    body = json.dumps(notice.as_json()).encode()
    moment = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "django-resilient-queue",
        "webhook-id": notice.id,
        "webhook-timestamp": str(moment),
        "webhook-signature": signature(secret, notice.id, moment, body),
    }
    request = Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - a setting, checked
    with build_opener(_NoRedirects).open(request, timeout=timeout):
        pass  # what it says besides is of no interest


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header's value; *timestamp* in seconds since 1970."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def key_of(secret: str) -> bytes:
    """Return the bytes of a secret. Raises ImproperlyConfigured for bad base64 after `whsec_`."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        words = f"{NAME}['ALERT_WEBHOOK_SECRET'] must have base64 after {_PREFIX}."
        raise ImproperlyConfigured(words) from None
