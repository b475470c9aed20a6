"""The pages for machines, health and metrics, without any framework above Django."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from .conf import settings
from .exceptions import MissingExtra
from .health import collect
from .metrics import exposition, page_collector
from .stores.guard import outside_transactions

_APP = "django_resilient_queue"


@outside_transactions  # ATOMIC_REQUESTS would ask the database first
@cache_control(no_store=True)
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer status and reasons as JSON, and the whole report to who has the permission
    ``view_health``; ``HEALTH_STATUS_CODES`` says by which HTTP status."""
    report = collect()
    may_see_all = _may(request, "view_health", known=report.database.is_up)
    body = report.as_json() if may_see_all else report.summary
    return JsonResponse(body, status=settings.http_status_for(report.status))


@outside_transactions
@cache_control(no_store=True)
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the metrics to who knows ``METRICS_TOKEN`` or has the permission ``view_metrics``."""
    try:
        found = page_collector().ask()
    except MissingExtra as error:
        return HttpResponse(f"{error}\n", status=501, content_type="text/plain")
    if not (_knows_token(request) or _may(request, "view_metrics", known=found.is_database_up)):
        return HttpResponseForbidden("a token or the permission view_metrics is wanted\n")
    text, content_type = exposition(found, request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)


def _knows_token(request: HttpRequest) -> bool:
    scheme, _, word = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    return bool(token) and scheme.lower() == "bearer" and constant_time_compare(word.strip(), token)


def _may(request: HttpRequest, permission: str, *, known: bool) -> bool:
    # To know the user takes the database: while it is away nobody is *known*, and nobody waits.
    user = getattr(request, "user", None)
    return known and user is not None and user.has_perm(f"{_APP}.{permission}")
