"""Addresses of the example shop."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_project.shop import views

urlpatterns = [
    path("", views.shop, name="shop"),
    path("orders/", views.place_order, name="place-order"),
    path("admin/", admin.site.urls),
    path("django-rq/", include("django_rq.urls")),
]
