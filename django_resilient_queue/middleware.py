"""Has the jobs that a request enqueues, and the log lines it causes, say for whom they are."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import LazyObject, empty

from .context import REQUEST_ID, USER_ID, known

HEADER = "X-Request-ID"
_FIT = re.compile(r"[A-Za-z0-9._:/+=@-]{1,200}")


@sync_and_async_middleware
def job_context(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Take ``request_id`` from the header X-Request-ID, or draw one, and answer with it.

    ``user_id`` is that of ``request.user``, when the view has looked at it before it enqueues.
    """
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            request_id = _request_id(request)
            with known(lambda: _facts(request, request_id)):
                return _marked(await get_response(request), request_id)

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        request_id = _request_id(request)
        with known(lambda: _facts(request, request_id)):
            return _marked(get_response(request), request_id)

    return answer


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if _FIT.fullmatch(given) else str(uuid.uuid4())


def _marked(response: HttpResponseBase, request_id: str) -> HttpResponseBase:
    response.headers.setdefault(HEADER, request_id)
    return response


def _facts(request: HttpRequest, request_id: str) -> dict[str, Any]:
    user = getattr(request, "user", None)
    # Who has not been looked at yet is left alone: that would ask the session's store, which may
    # be away, in the middle of an enqueue.
    if isinstance(user, LazyObject) and user.__dict__.get("_wrapped", empty) is empty:
        user = None
    pk = getattr(user, "pk", None)
    if pk is None:
        return {REQUEST_ID: request_id}
    return {REQUEST_ID: request_id, USER_ID: pk if isinstance(pk, int) else str(pk)}
