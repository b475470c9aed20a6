"""Letters on an admin site of a project's own, which has no other page of ours."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path

from django_resilient_queue import discard
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


class OfOneQueue(pages):  # type: ignore[valid-type, misc]
    """As a project has it whose staff see letters of their own alone."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        found: QuerySet[DeadLetter] = super().get_queryset(request)
        return found.filter(queue_name="default")


counter = admin.AdminSite("counter")
counter.register(DeadLetter, OfOneQueue)
urlpatterns = [
    path("counter/", counter.urls),
    path("desk/", desk.urls),
    path("runs/", runs.urls),
    *usual,
]


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


@pytest.mark.parametrize("verb", ["requeue", "discard", "restore", "export"])
@override_settings(ROOT_URLCONF=__name__)
def test_what_a_site_does_not_show_is_not_dealt_with_there(verb: str) -> None:
    mine, other = letter_of("mine"), letter_of("other", queue_name="low")
    if verb == "restore":
        for letter in (mine, other):
            discard(letter)
    client, start = client_of(), f"/counter/django_resilient_queue/deadletter/all/{verb}/"
    form = {"rate": "1", "canary": "0"}
    for query in (f"ids={other.pk}", f"ids={mine.pk},{other.pk}", "until=2100-01-01T00:00:00Z"):
        for asked in (client.get, client.post):
            answer = asked(f"{start}?{query}", form if asked == client.post else None)
            assert "not for you" in client.get(answer["Location"]).text
    assert not LogEntry.objects.exists()
    for query in (f"ids={mine.pk}", "queue_name=default"):
        assert "<b>1 letter</b> is meant." in client.get(f"{start}?{query}").text
    client.post(f"{start}?ids={mine.pk}", form)
    assert LogEntry.objects.count() == 1
