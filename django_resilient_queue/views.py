"""The pages for machines, health and metrics, without any framework above Django."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from . import crew
from .conf import settings
from .exceptions import MissingExtra
from .health import collect
from .metrics import exposition, page_collector
from .sessions import leave_session
from .stores.guard import outside_transactions

_APP = "django_resilient_queue"
_BOUND = 0.95  # seconds until a page is answered, whatever does not answer it
_PATIENCE = 0.6  # seconds in which it has to be known who asks for metrics

View = Callable[[HttpRequest], HttpResponse]


def _without_session(view: View) -> View:
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        response = view(request)
        leave_session(request)
        return response

    return answer


@outside_transactions  # ATOMIC_REQUESTS would ask the database first
@cache_control(no_store=True)
@require_safe
@_without_session
def health(request: HttpRequest) -> HttpResponse:
    """Answer status and reasons as JSON, and the whole report to who has the permission
    ``view_health``; ``HEALTH_STATUS_CODES`` says by which HTTP status."""
    until = time.monotonic() + _BOUND
    report = collect()
    # To know the user takes the database: while it is away nobody is known, and nobody waits.
    may_see_all = report.database.is_up and _may(request, "view_health", until - time.monotonic())
    body = report.as_json() if may_see_all else report.summary
    return JsonResponse(body, status=settings.http_status_for(report.status))


@outside_transactions
@cache_control(no_store=True)
@require_safe
@_without_session
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the metrics to who knows ``METRICS_TOKEN`` or has the permission ``view_metrics``."""
    until = time.monotonic() + _BOUND
    if not (_knows_token(request) or _may(request, "view_metrics", _PATIENCE)):
        return HttpResponseForbidden("a token or the permission view_metrics is wanted\n")
    try:
        found = page_collector().ask(until - time.monotonic())
    except MissingExtra as error:
        return HttpResponse(f"{error}\n", status=501, content_type="text/plain")
    text, content_type = exposition(found, request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)


def _knows_token(request: HttpRequest) -> bool:
    scheme, _, word = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    return bool(token) and scheme.lower() == "bearer" and constant_time_compare(word.strip(), token)


def _may(request: HttpRequest, permission: str, seconds: float) -> bool:
    """Ask who it is and what that one may; of whom that can't be known in time, nothing."""
    user = getattr(request, "user", None)
    if user is None:
        return False
    try:
        allowed = crew.page_crew.run(lambda: user.has_perm(f"{_APP}.{permission}"), seconds)
    except (crew.TookTooLong, DatabaseError, InterfaceError, RedisError, OSError):
        return False  # whatever store the project has its sessions and users in
    return bool(allowed)
