"""Who is shown the overview, and where it is found."""

from __future__ import annotations

import json
from io import StringIO
from types import ModuleType

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import path, reverse
from pytest_django import Settings

from django_resilient_queue.admin.overview import OverviewAdmin
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models import Overview
from tests.clients import client_of
from tests.integration.overview.screen import NAME, letter, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.mark.parametrize("name", ["changelist", "live"])
def test_it_takes_a_permission_of_its_own(name: str) -> None:
    others = ("view_deadletter", "view_outage", "pause_queue", "view_health")
    assert client_of(*others).get(reverse(f"{NAME}_{name}")).status_code == 403
    assert Client().get(reverse(f"{NAME}_{name}")).status_code == 302
    assert client_of("view_overview").get(reverse(f"{NAME}_{name}")).status_code == 200


def test_it_is_in_the_sidebar_of_who_may_see_it() -> None:
    address_of_it = reverse(f"{NAME}_changelist")
    assert address_of_it in client_of("view_overview").get(reverse("admin:index")).text
    index = reverse("admin:app_list", args=("django_resilient_queue",))
    found = client_of("view_overview").get(index).text
    assert "Overview: how things stand now" in found
    client = client_of("view_deadletter")
    assert address_of_it not in client.get(reverse("admin:index")).text
    assert address_of_it not in client.get(index).text


def test_it_and_the_dashboard_of_django_rq_lead_to_each_other() -> None:
    """Where this app comes first in INSTALLED_APPS, as its template then stands before theirs."""
    dashboard = reverse("admin:django_rq_dashboard_changelist")
    both = client_of("view_overview", "admin")
    assert dashboard in page(both)
    assert dashboard not in page(client_of("view_overview"))
    assert reverse(f"{NAME}_changelist") in both.get(dashboard).text
    found = client_of("admin").get(dashboard).text
    assert reverse(f"{NAME}_changelist") not in found


def test_nothing_can_be_added_changed_or_deleted() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(reverse(f"{NAME}_add")).status_code == 403
    assert client.get(reverse(f"{NAME}_delete", args=("low",))).status_code == 403
    answer = client.get(reverse(f"{NAME}_change", args=("low",)))
    assert answer["Location"] == reverse(f"{NAME}_changelist")
    assert client.get(reverse(f"{NAME}_history", args=("low",))).status_code == 200


@pytest.mark.parametrize("options", [{}, {"use_base_manager": True}])
def test_what_dumps_all_tables_passes_over_it(options: dict[str, bool]) -> None:
    """There is no table."""
    written = StringIO()
    call_command("dumpdata", "django_resilient_queue.overview", stdout=written, **options)
    assert json.loads(written.getvalue()) == []


def test_another_site_of_the_admin_shows_its_own_addresses(settings: Settings) -> None:
    """And what that site has no pages of is no link."""
    site = admin.AdminSite(name="other")
    site.register(Overview, OverviewAdmin)
    urls = ModuleType("urls_of_two_sites")
    patterns = [path("admin/", admin.site.urls), path("other/", site.urls)]
    urls.__dict__["urlpatterns"] = patterns
    settings.ROOT_URLCONF = urls
    letter("a", "builtins.TimeoutError")
    client = client_of("view_overview", "view_deadletter", "pause_queue")
    sharing.reset()
    html = client.get("/other/django_resilient_queue/overview/").text
    assert "/other/django_resilient_queue/overview/low/pause/" in html
    assert "1 time limit" in html
    assert 'href="/admin/' not in html
    answer = client.post("/other/django_resilient_queue/overview/low/pause/")
    assert answer["Location"] == "/other/django_resilient_queue/overview/"
