"""Letters on an admin site of a project's own, which has no other page of ours."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import override_settings
from django.urls import path

from django_resilient_queue.models import DeadLetter, Outage, RecoveryRun
from tests.integration.letters.desk import client_of, letter_of
from tests.rows import make_run
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db(transaction=True)]

pages = type(admin.site.get_model_admin(DeadLetter))
# As a theme's ModelAdmin, after ours.
theme = type("Theme", (admin.ModelAdmin,), {"is_themed": True})
desk = admin.AdminSite("desk")
desk.register(DeadLetter, type("Themed", (pages, theme), {}))
runs = admin.AdminSite("runs")
runs.register(RecoveryRun, type(admin.site.get_model_admin(RecoveryRun)))
urlpatterns = [path("desk/", desk.urls), path("runs/", runs.urls), *usual]


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


@override_settings(ROOT_URLCONF=__name__)
def test_a_run_has_a_page_where_its_letters_have_none() -> None:
    run = make_run("mended")
    page = client_of().get(f"/runs/django_resilient_queue/recoveryrun/{run.pk}/change/")
    assert "queue low" in page.text
    assert "what was done with each" not in page.text
