"""Include this where links to exported files are to be: ``path("exports/", include(…))``."""

from __future__ import annotations

from django.urls import path

from .views import download

app_name = "resilient_queue_exports"
urlpatterns = [path("<str:link>", download, name="download")]
