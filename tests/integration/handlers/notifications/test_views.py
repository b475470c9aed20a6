"""What users see and change of their own notifications, and of nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from django_resilient_queue.handlers.business.notification.channels.push import public_key
from django_resilient_queue.models import Notification, PushSubscription, QuietHours
from tests.integration.handlers.notifications.notices import notify, register
from tests.peers import Browser, PushService

pytestmark = pytest.mark.django_db(transaction=True)
AT = "/notifications/"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def call(client: Client, verb: str, path: str, body: object) -> Any:
    text = json.dumps(body)
    return client.generic(verb, AT + path, text, content_type="application/json")


def ask(client: Client, path: str = "", **query: Any) -> Any:
    return client.get(AT + path, query).json()


def notes(user: User, count: int) -> list[int]:
    for n in range(count):
        notify(user, channels=["in_app"], title=f"note {n}")
    return list(Notification.objects.filter(user_key=str(user.pk)).values_list("pk", flat=True))


def test_the_list_is_read_in_pages(ann: User) -> None:
    pks = notes(ann, 5)
    notes(User.objects.create_user("bob"), 1)
    client = client_of(ann)
    first = ask(client, limit=3)
    assert [each["id"] for each in first["results"]] == pks[:3]
    assert (first["results"][0]["title"], first["unread"]) == ("note 4", 5)
    notes(ann, 1)  # what comes meanwhile moves no page
    second = ask(client, limit=3, before=first["next"])
    assert [each["id"] for each in second["results"]] == pks[3:]
    assert second["next"] is None


def test_only_the_users_own_are_marked_as_read(ann: User) -> None:
    mine, others = notes(ann, 3), notes(User.objects.create_user("bob"), 1)
    client = client_of(ann)
    assert call(client, "POST", "read/", {"ids": [mine[0], *others]}).json() == {"marked": 1}
    assert call(client, "POST", "read/", {"ids": [mine[0]]}).json() == {"marked": 0}
    unread = [each["id"] for each in ask(client, unread=1)["results"]]
    assert unread == mine[1:]
    assert call(client, "POST", "read/", {"until": mine[1]}).json() == {"marked": 2}
    assert Notification.objects.unread().get().pk == others[0]


def test_a_browser_is_registered_and_removed(set_up: None, push: PushService) -> None:
    bob = User.objects.create_user("bob")
    client, browser = client_of(bob), push.browser()
    assert ask(client, "push/") == {"key": public_key()}
    for status in (201, 200):
        assert call(client, "POST", "push/", browser.subscription).status_code == status
    assert notify(bob, channels=["push"]) == {"push": "sent"}
    assert len(browser.messages) == 1
    endpoint = {"endpoint": browser.subscription["endpoint"]}
    stranger = client_of(User.objects.create_user("eve"))
    assert call(stranger, "DELETE", "push/", endpoint).json() == {"removed": False}
    assert call(client, "DELETE", "push/", endpoint).json() == {"removed": True}
    assert not PushSubscription.objects.exists()


def test_a_browser_goes_over_to_whoever_registers_it(ann: User, browser: Browser) -> None:
    """Whoever logs in at it: it is not to show what is for the one before."""
    bob = User.objects.create_user("bob")
    call(client_of(bob), "POST", "push/", browser.subscription)
    assert PushSubscription.objects.get().user_key == str(bob.pk)


def test_a_user_has_ten_browsers_at_most(ann: User, push: PushService) -> None:
    for n in range(12):
        register(ann, push.browser(f"/{n}"))
    kept = [each.endpoint.rpartition("/")[2] for each in PushSubscription.objects.all()]
    assert kept == [str(n) for n in range(11, 1, -1)]


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x",
        "https://push.example.com:8443/x",
        "https://user:pw@push.example.com/x",
        "https://localhost/x",
        "https://redis/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f.0.0.1/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://224.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[64:ff9b::10.0.0.1]/x",
        "https://[fe80::1]/x",
        "https://[x/",
        "ftp://push.example.com/x",
        "https://push.example.com/\r\nHost: x",
        "file:///etc/passwd",
        "",
    ],
)
def test_an_endpoint_in_the_own_network_is_refused(
    ann: User, browser: Browser, settings: Settings, endpoint: str
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "PUSH_PRIVATE_ADDRESSES": False}
    given = {**browser.subscription, "endpoint": endpoint}
    response = call(client_of(ann), "POST", "push/", given)
    assert (response.status_code, list(response.json())) == (400, ["endpoint"])


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"p256dh": "x" * 87, "auth": "c2l4dGVlbiBieXRlcyBvaw"},
        {"p256dh": "BA" + "A" * 85, "auth": "c2l4dGVlbiBieXRlcyBvaw"},
        {"p256dh": "ü", "auth": "?"},
        [],
    ],
)
def test_keys_that_nothing_can_be_encrypted_for_are_refused(
    ann: User, browser: Browser, keys: object
) -> None:
    response = call(client_of(ann), "POST", "push/", {**browser.subscription, "keys": keys})
    assert (response.status_code, list(response.json())) == (400, ["keys"])


def test_preferences_and_quiet_hours_are_told_and_changed(ann: User) -> None:
    client = client_of(ann)
    off = {"channel": "push", "type": "", "enabled": False}
    hours = {"begins": "22:00:00", "ends": "06:30:00", "time_zone": "Europe/Berlin"}
    response = call(client, "POST", "preferences/", {"preferences": [off], "quiet_hours": hours})
    assert response.json() == ask(client, "preferences/")
    assert response.json()["preferences"] == [off]
    assert response.json()["quiet_hours"] == hours
    call(client, "POST", "preferences/", {"preferences": [{**off, "enabled": True}]})
    assert ask(client, "preferences/")["quiet_hours"] == hours
    call(client, "POST", "preferences/", {"quiet_hours": None})
    told = ask(client, "preferences/")
    assert told["quiet_hours"] is None
    assert told["preferences"] == [{**off, "enabled": True}]
    assert notify(ann, channels=["push"]) == {"push": "sent"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("read/", {}),
        ("read/", {"ids": [1], "until": 2}),
        ("read/", {"ids": ["x"]}),
        ("read/", {"ids": [2**64]}),
        ("read/", []),
        ("read/", "x" * 70_000),
        ("preferences/", {"preferences": [{"channel": "pigeon", "enabled": True}]}),
        ("preferences/", {"preferences": [{"channel": "sms", "type": "\x00", "enabled": True}]}),
        ("preferences/", {"quiet_hours": {"begins": "25:00", "ends": "1", "time_zone": "UTC"}}),
        (
            "preferences/",
            {"quiet_hours": {"begins": "22:00", "ends": "06:00", "time_zone": "../../etc/passwd"}},
        ),
        (
            "preferences/",
            {"quiet_hours": {"begins": "22:00", "ends": "22:00", "time_zone": "UTC"}},
        ),
    ],
)
def test_what_can_not_be_is_answered_by_field_and_changes_nothing(
    ann: User, path: str, body: object
) -> None:
    response = call(client_of(ann), "POST", path, body)
    assert response.status_code == 400
    assert response.json()
    assert not QuietHours.objects.exists()


def test_a_body_that_is_no_json_is_refused(ann: User) -> None:
    client = client_of(ann)
    for text in ("{", "[" * 100_000, "\xff"):
        response = client.generic("POST", f"{AT}read/", text, content_type="application/json")
        assert response.status_code == 400
    assert client.post(f"{AT}read/", {"until": 1}).status_code == 400
    assert client.get(AT, {"before": "x"}).status_code == 400


@pytest.mark.parametrize("path", ["", "read/", "push/", "preferences/"])
def test_nobody_sees_or_changes_anything_without_logging_in(path: str) -> None:
    verb = "POST" if path == "read/" else "GET"
    assert call(Client(), verb, path, {}).status_code == 401


@pytest.mark.parametrize("path", ["read/", "push/", "preferences/"])
def test_a_change_needs_the_token_against_forgery(ann: User, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)
    assert call(client, "POST", path, {}).status_code == 403


def test_a_change_is_no_get(ann: User) -> None:
    assert client_of(ann).get(f"{AT}read/").status_code == 405
    assert client_of(ann).post(AT).status_code == 405


def test_without_a_key_there_is_no_push(ann: User, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {}
    assert client_of(ann).get(f"{AT}push/").status_code == 404
