"""What the admin shows of alerts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_resilient_queue.models import Alert, AlertNotice, AlertSilence

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
ALERTS = "admin:django_resilient_queue_alert_changelist"
ALERT = "admin:django_resilient_queue_alert_change"
SILENCES = "admin:django_resilient_queue_alertsilence_changelist"


def make_alert(rule: str, **values: object) -> Alert:
    moments = {"since": NOON, "seen_at": NOON, "fired_at": NOON, "told_at": NOON}
    return Alert.objects.create(
        rule=rule, severity="critical", message=f"{rule} holds", **{**moments, **values}
    )


def page(client: Client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_list_shows_what_fires_and_what_is_over(admin_client: Client) -> None:
    make_alert("degraded", open_marker="open")
    make_alert("dead_letters", key="mail", resolved_at=NOON)
    every = page(admin_client, ALERTS)
    assert "degraded" in every
    assert "mail" in every
    firing = page(admin_client, ALERTS, resolved_at__isempty="1")
    assert ">degraded<" in firing
    assert ">dead_letters<" not in firing


def test_an_alert_shows_its_message_and_who_was_told(admin_client: Client) -> None:
    alert = make_alert("degraded", open_marker="open")
    AlertNotice.objects.create(
        alert=alert,
        channel="webhook",
        kind="fired",
        message="m",
        made_at=NOON,
        try_at=NOON,
        tries=3,
        problem="ConnectionError: nobody is there",
    )
    text = page(admin_client, ALERT, alert.pk)
    assert "degraded holds" in text
    assert "webhook" in text
    assert "nobody is there" in text


def test_a_list_asks_as_often_whatever_its_length(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            page(admin_client, ALERTS)
        return len(found)

    make_alert("degraded")
    first = queries()
    for number in range(20):
        make_alert("dead_letters", key=str(number))
    assert queries() == first


def test_silences_are_listed(admin_client: Client) -> None:
    AlertSilence.objects.silence("degraded", until=NOON, by="ann", reason="we know")
    text = page(admin_client, SILENCES)
    assert "ann" in text
    assert "we know" in text


@pytest.mark.parametrize("name", ["alert", "alertsilence"])
def test_nothing_can_be_added_or_changed_by_hand(admin_client: Client, name: str) -> None:
    alert = make_alert("degraded", open_marker="open")
    prefix = f"admin:django_resilient_queue_{name}"
    assert admin_client.get(reverse(f"{prefix}_add")).status_code == 403
    change = reverse(f"{prefix}_change", args=[alert.pk])
    if name == "alert":
        assert admin_client.post(change, {"rule": "x"}).status_code == 403
        alert.refresh_from_db()
        assert alert.rule == "degraded"


def test_whoever_may_not_see_alerts_does_not(client: Client) -> None:
    user = User.objects.create_user("ben", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(ALERTS)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_alert"))
    assert client.get(reverse(ALERTS)).status_code == 200
