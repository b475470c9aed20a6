"""Letters on an admin site of a project's own, which has no other page of ours."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import override_settings
from django.urls import path

from django_resilient_queue.models import DeadLetter, Outage, RecoveryRun
from tests.integration.letters.desk import client_of, letter_of
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db(transaction=True)]

pages = type(admin.site.get_model_admin(DeadLetter))
# As a theme's ModelAdmin, after ours.
theme = type("Theme", (admin.ModelAdmin,), {"is_themed": True})
desk = admin.AdminSite("desk")
desk.register(DeadLetter, type("Themed", (pages, theme), {}))
urlpatterns = [path("desk/", desk.urls), *usual]


@override_settings(ROOT_URLCONF=__name__)
def test_every_page_leads_to_pages_of_that_site() -> None:
    letter, client = letter_of(), client_of()
    Outage.objects.begin("b", cause="refused", reported_by="w")
    start = "/desk/django_resilient_queue/deadletter/"
    shown = [
        client.get(address)
        for address in (
            start,
            f"{start}groups/",
            f"{start}{letter.pk}/change/",
            f"{start}{letter.pk}/requeue/",
            f"{start}{letter.pk}/correct/",
            f"{start}all/requeue/?ids={letter.pk}",
        )
    ]
    assert {page.status_code for page in shown} == {200}
    assert not [page.request["PATH_INFO"] for page in shown if 'href="/admin/' in page.text]
    form = {"rate": "1", "canary": "0"}
    answer = client.post(f"{start}all/requeue/?ids={letter.pk}", form)
    assert answer["Location"] == start, "there is no page of runs"
    assert RecoveryRun.objects.get().total == 1
