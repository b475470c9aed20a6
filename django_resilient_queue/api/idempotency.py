"""Idempotency-Key: whoever repeats a request gets the first one's answer, and one job is made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from rest_framework.request import Request
from rest_framework.response import Response

from ..conf import settings
from ..exceptions import StoreError
from ..models import IdempotentRequest
from ..models.idempotency import IdempotentRequestQuerySet
from ..stores.guard import database_errors
from .problem import Problem

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_LONGEST = 255
KEY = rf"^[\x21-\x7e]{{1,{_LONGEST}}}$"
_KEY = re.compile(KEY)


def digest_of(request: Request) -> str:
    """Return what user, route and key make together, empty without a key. Raises Problem."""
    key = request.headers.get(HEADER)
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        words = f"{HEADER} must have 1 to {_LONGEST} printable ASCII characters without spaces."
        raise Problem(400, "invalid_key", words)
    user = getattr(request.user, "pk", None)
    who = str(request.user) if user is None else f"#{user}"
    return _digest([who, request.method, request.path, key])


def once(request: Request, do: Callable[[], Response]) -> Response:
    """Do it, or replay the answer of the request that had the same key before."""
    digest = digest_of(request)
    if not digest:
        return do()
    body_digest = _digest(request.data)
    try:
        with database_errors(settings.DATABASE):
            row = _requests().begin(digest, body_digest)
            before = None if row else _requests().filter(digest=digest).first()
    except StoreError:
        return do()  # a job is safe by its id, which comes of the key; all else needs the database
    if row is None:
        return _answer_of(before, body_digest)
    return _answered(row, do)


def _answered(row: IdempotentRequest, do: Callable[[], Response]) -> Response:
    try:
        response = do()
    except StoreError:
        raise  # it may have been done: the key waits for its time, or for a repeat
    except Exception:
        _try(lambda: _requests().give_up(row))
        raise
    answer = json.loads(json.dumps(response.data, cls=DjangoJSONEncoder))
    location = response.headers.get("Location", "")
    _try(lambda: _requests().answer(row, response.status_code, answer, location))
    return response


def _answer_of(before: IdempotentRequest | None, body_digest: str) -> Response:
    if before is not None and before.body_digest != body_digest:
        raise Problem(422, "key_reused", f"This {HEADER} came with another payload before.")
    if before is None or before.status is None:
        words = f"The first request with this {HEADER} is still at work."
        raise Problem(409, "in_progress", words, headers={"Retry-After": "1"})
    headers = {REPLAYED: "true"}
    if before.location:
        headers["Location"] = before.location
    return Response(before.answer, status=before.status, headers=headers)


def _try(write: Callable[[], Any]) -> None:
    """The work is done, whether or not the database takes note of it."""
    try:
        with database_errors(settings.DATABASE):
            write()
    except StoreError:
        return


def _requests() -> IdempotentRequestQuerySet:
    return IdempotentRequest.objects.using(settings.DATABASE)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
