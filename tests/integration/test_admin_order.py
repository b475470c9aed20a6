"""What stands first in the sidebar: what an operator looks at first."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, RequestFactory

from django_resilient_queue.admin import DeadLetterAdmin, OverviewAdmin
from django_resilient_queue.admin.order import ORDER
from django_resilient_queue.models import DeadLetter, Outage, Overview

pytestmark = pytest.mark.django_db
APP = "django_resilient_queue"


def request() -> HttpRequest:
    found = RequestFactory().get("/admin/")
    found.user = User.objects.create_superuser("root")
    return found


def names(site: admin.AdminSite, label: str = APP) -> list[str]:
    apps = site.get_app_list(request())
    (models,) = (app["models"] for app in apps if app["app_label"] == label)
    return [each["object_name"] for each in models]


def test_the_overview_is_first_and_what_dies_is_second() -> None:
    found = names(admin.site)
    assert found[:3] == ["Overview", "DeadLetter", "RecoveryRun"]
    assert found == list(ORDER), "a new table needs a place, too"


def test_the_pages_show_that_order(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    for address in ("/admin/", f"/admin/{APP}/", f"/admin/{APP}/outage/"):
        html = client.get(address).text
        assert (
            0
            < html.index('scope="row" id="django_resilient_queue-overview"')
            < html.index('scope="row" id="django_resilient_queue-alert"')
        ), address


def test_other_apps_stay_as_they_are() -> None:
    assert names(admin.site, "auth") == ["Group", "User"]


def test_another_site_has_the_order_too() -> None:
    site = admin.AdminSite(name="other")
    site.register(DeadLetter, DeadLetterAdmin)
    site.register(Outage)
    site.register(Overview, OverviewAdmin)
    assert names(site) == ["Overview", "DeadLetter", "Outage"]


class BackwardsSite(admin.AdminSite):
    """A project's own order."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        found = super().get_app_list(request, app_label)
        for app in found:
            app["models"].reverse()
        return found


def test_a_site_with_an_order_of_its_own_keeps_it() -> None:
    site = BackwardsSite(name="backwards")
    site.register(Overview, OverviewAdmin)
    site.register(DeadLetter, DeadLetterAdmin)
    site.register(Outage)
    assert names(site) == ["Overview", "Outage", "DeadLetter"]


def test_pages_that_are_registered_anew_are_put_in_order_once() -> None:
    """As for a theme; each time more would be another call for each page."""
    site = admin.AdminSite(name="themed")
    site.register(Overview, OverviewAdmin)
    ordered = site.get_app_list
    site.unregister(Overview)
    site.register(Overview, OverviewAdmin)
    assert site.get_app_list is ordered
