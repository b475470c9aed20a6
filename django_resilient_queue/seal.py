"""Signed bytes: what a table holds is only unpickled after its seal was found whole."""

from __future__ import annotations

import hmac
from functools import lru_cache

from django.conf import settings
from django.utils.crypto import salted_hmac

from .exceptions import UndecodableSnapshot

_FORMAT = b"1"
_DIGEST_SIZE = 32


def seal(body: bytes, *, purpose: str) -> bytes:
    """Prefix *body* with a format byte and its HMAC-SHA256 under ``SECRET_KEY``.

    ``purpose`` keeps one kind of sealed bytes from being accepted as another.
    """
    return _FORMAT + _digest(body, purpose, settings.SECRET_KEY) + body


def unseal(sealed: bytes, *, purpose: str) -> bytes:
    """Return the body of *sealed*; ``SECRET_KEY_FALLBACKS`` are honoured, as Django's signing does.

    Raises UndecodableSnapshot when the bytes are not ours or were changed.
    """
    start = len(_FORMAT) + _DIGEST_SIZE
    if len(sealed) <= start or not sealed.startswith(_FORMAT):
        raise UndecodableSnapshot("the stored bytes have an unknown format")
    digest, body = sealed[len(_FORMAT) : start], sealed[start:]
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        if hmac.compare_digest(digest, _digest(body, purpose, key)):
            return body
    raise UndecodableSnapshot("the signature of the stored bytes does not match")


def _digest(body: bytes, purpose: str, secret: str | bytes) -> bytes:
    mac = _mac(purpose, secret).copy()
    mac.update(body)
    return mac.digest()


@lru_cache(maxsize=32)  # deriving the key takes longer than hashing a job
def _mac(purpose: str, secret: str | bytes) -> hmac.HMAC:
    salt = f"django_resilient_queue.{purpose}"
    return salted_hmac(salt, "", secret=secret, algorithm="sha256")
