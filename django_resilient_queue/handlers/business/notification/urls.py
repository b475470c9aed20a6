"""The addresses of a user's own notifications, to be included in the project's."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "notifications"
urlpatterns = [
    path("", views.notifications, name="list"),
    path("read/", views.read, name="read"),
    path("push/", views.subscriptions, name="push"),
    path("preferences/", views.preferences, name="preferences"),
]
