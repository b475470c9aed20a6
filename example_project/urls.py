"""Addresses of the example shop."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from health_check.views import HealthCheckView

from django_resilient_queue.contrib.health_check import ALL, LIVENESS, READINESS
from example_project.shop import views

urlpatterns = [
    path("", views.shop, name="shop"),
    path("orders/", views.place_order, name="place-order"),
    path("admin/", admin.site.urls),
    path("django-rq/", include("django_rq.urls")),
    path("queue/", include("django_resilient_queue.urls")),
    # The process answers; it may get requests; all that a monitor wants to know.
    path("health/live/", HealthCheckView.as_view(checks=LIVENESS), name="live"),
    path("health/ready/", HealthCheckView.as_view(checks=READINESS), name="ready"),
    path("health/", HealthCheckView.as_view(checks=ALL), name="health"),
]
