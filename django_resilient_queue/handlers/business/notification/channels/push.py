"""Web Push: to each browser that the user has registered, encrypted for it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .....conf import settings
from .....models import PushSubscription
from .....models.notification_delivery import DeliveryState
from .....models.push_subscription import MOST
from ..endpoints import ForbiddenEndpoint, check_endpoint
from ..notice import Notice
from ..wording import shortened
from .failures import NotTaken, Refused, Unavailable, Unreachable

NAME = "push"
ROOM = 3993  # bytes: a service need not take more than 4096, of which encryption has 103
_TIME_TO_LIVE = 24 * 3600
_GONE = (404, 410)
_ABOUT_US = (401, 403)  # the key is not the one that the browser was registered with
_BUSY = (408, 425, 429)


def send(notice: Notice) -> None:
    """Send it to every device that has not got it yet; forget those that are gone."""
    devices = PushSubscription.objects.using(settings.DATABASE).of(notice.user_key)
    sent = set(notice.records().sent().filter(channel=NAME).values_list("target", flat=True))
    reached, failures = False, list[NotTaken]()
    data = _data(notice)
    for device in devices[:MOST]:
        try:
            if device.endpoint_hash not in sent:
                _post(device, data, notice)
                notice.record(NAME, DeliveryState.SENT, target=device.endpoint_hash)
            reached = True
        except NotTaken as error:
            failures.append(error)
    _judge(failures, reached=reached)


def missing() -> str | None:
    """Name the settings without which no service takes anything."""
    if not settings.PUSH_VAPID_KEY or not settings.PUSH_SUBJECT:
        return "PUSH_VAPID_KEY and PUSH_SUBJECT"
    return None


def public_key() -> str:
    """Return what browsers subscribe with, as base64url. Raises ValueError for no key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    point = _key().public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _judge(failures: list[NotTaken], *, reached: bool) -> None:
    for failure in failures:
        if isinstance(failure, Unavailable):
            raise Unavailable(failure.reason, reached=reached)
    if reached:
        return
    for failure in failures:
        if isinstance(failure, Refused):
            raise failure
    raise Unreachable("the user has no push subscription")


def _data(notice: Notice) -> bytes:
    """Return what a service worker gets, as JSON; a long message is cut."""
    words = notice.words(NAME)
    rest = {"title": words.title, "type": notice.kind, "key": notice.key}
    rest |= {"link": notice.payload["link"], "data": notice.payload["data"]}
    message = words.message
    while len(data := _json({**rest, "message": message})) > ROOM:
        if len(message) <= 1:
            raise Refused(f"more than {ROOM} bytes without the message")
        # Never too much: a character is a byte at least, and escaped at most twelve.
        message = shortened(message, max(1, len(message) - max(1, (len(data) - ROOM) // 12)))
    return data


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _post(device: PushSubscription, data: bytes, notice: Notice) -> None:
    import requests
    from py_vapid import VapidException
    from pywebpush import WebPushException, webpush

    from .posting import GuardedSession

    try:
        check_endpoint(device.endpoint)
        with GuardedSession() as session:
            webpush(
                {
                    "endpoint": device.endpoint,
                    "keys": {"p256dh": device.p256dh, "auth": device.auth},
                },
                data,
                vapid_private_key=_key(),
                vapid_claims={"sub": settings.PUSH_SUBJECT},
                headers={"Topic": _topic(notice), "Urgency": _urgency(notice)},
                ttl=_TIME_TO_LIVE,
                timeout=settings.NOTIFICATION_TIMEOUT,
                requests_session=session,
            )
    except WebPushException as error:
        raise _failure(device, error.status_code) from error
    except requests.RequestException as error:
        raise Unavailable(type(error).__name__) from error
    except VapidException as error:  # a host that can't be signed for, as one of IPv6 in numbers
        raise Refused(type(error).__name__) from error
    except ForbiddenEndpoint as error:
        raise Refused("the endpoint is not a public address") from error


def _failure(device: PushSubscription, status: int | None) -> NotTaken:
    reason = f"HTTP {status}"
    if status in _GONE:
        PushSubscription.objects.using(settings.DATABASE).drop(device)
        return Unreachable(reason)
    if status in _ABOUT_US or status in _BUSY or status is None or status >= 500:
        return Unavailable(reason)
    return Refused(reason)


def _key() -> Any:
    from py_vapid import Vapid02

    text = settings.PUSH_VAPID_KEY.strip()
    if text.startswith("-----BEGIN"):
        return Vapid02.from_pem(text.encode())
    return Vapid02.from_string(text)


def _topic(notice: Notice) -> str:
    """What a repeat replaces while the browser is away: 32 characters, as RFC 8030 has it."""
    digest = hashlib.sha256(notice.key.encode()).digest()[:24]
    return base64.urlsafe_b64encode(digest).decode()


def _urgency(notice: Notice) -> str:
    return "high" if notice.kind in settings.NOTIFICATION_URGENT_TYPES else "normal"
