"""Addresses for the tests: the admin, the pages of django-rq, and the API once it exists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.urls import include, path
from health_check.views import HealthCheckView

from django_resilient_queue.contrib.health_check import ALL, LIVENESS, READINESS
from tests.patience import LIMIT


def patient(checks: Iterable[Any]) -> list[Any]:
    """The same checks, which a busy machine may take its time over."""
    named = (check if isinstance(check, tuple) else (check, {}) for check in checks)
    return [(name, {**options, "timeout": timedelta(seconds=LIMIT)}) for name, options in named]


urlpatterns = [
    path("admin/", admin.site.urls),
    path("django-rq/", include("django_rq.urls")),
    path("queue/api/", include("django_resilient_queue.api.urls")),
    path("queue/", include("django_resilient_queue.urls")),
    path("live/", HealthCheckView.as_view(checks=patient(LIVENESS)), name="live"),
    path("ready/", HealthCheckView.as_view(checks=patient(READINESS)), name="ready"),
    path("deep/", HealthCheckView.as_view(checks=patient(ALL)), name="deep"),
    path("exports/", include("django_resilient_queue.handlers.business.export.urls")),
    path("notifications/", include("django_resilient_queue.handlers.business.notification.urls")),
]
