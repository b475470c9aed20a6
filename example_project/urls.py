"""Addresses of the example shop."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.urls import include, path
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)
from health_check.views import HealthCheckView

from django_resilient_queue.contrib.health_check import ALL, LIVENESS, READINESS
from example_project.shop import views

swagger = SpectacularSwaggerSplitView.as_view(url_name="openapi")
redoc = SpectacularRedocView.as_view(url_name="openapi", template_name="shop/redoc.html")

urlpatterns = [
    path("", views.shop, name="shop"),
    path("orders/", views.place_order, name="place-order"),
    path("admin/", admin.site.urls),
    path("django-rq/", include("django_rq.urls")),
    path("queue/api/", include("django_resilient_queue.api.urls")),
    # For staff, as SPECTACULAR_SETTINGS says; whoever is not logged in is asked to.
    path("queue/openapi/", SpectacularAPIView.as_view(), name="openapi"),
    path("queue/swagger/", staff_member_required(swagger), name="swagger"),
    path("queue/redoc/", staff_member_required(redoc), name="redoc"),
    path("queue/", include("django_resilient_queue.urls")),
    # The process answers; it may get requests; all that a monitor wants to know.
    path("health/live/", HealthCheckView.as_view(checks=LIVENESS), name="live"),
    path("health/ready/", HealthCheckView.as_view(checks=READINESS), name="ready"),
    path("health/", HealthCheckView.as_view(checks=ALL), name="health"),
]
