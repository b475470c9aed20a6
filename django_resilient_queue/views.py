"""The health page: for load balancers and monitors, without any framework above Django."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from .conf import settings
from .health import HealthReport, collect

PERMISSION = "django_resilient_queue.view_health"


@transaction.non_atomic_requests  # ATOMIC_REQUESTS would ask the database first
@cache_control(no_store=True)
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer status and reasons as JSON, and the whole report to who has the permission
    ``view_health``; ``HEALTH_STATUS_CODES`` says by which HTTP status."""
    report = collect()
    body = report.as_json() if _may_see_all(request, report) else report.summary
    return JsonResponse(body, status=settings.http_status_for(report.status))


def _may_see_all(request: HttpRequest, report: HealthReport) -> bool:
    # To know the user takes the database: while it is away nobody is known, and nobody waits.
    user = getattr(request, "user", None)
    return report.database.is_up and user is not None and user.has_perm(PERMISSION)
