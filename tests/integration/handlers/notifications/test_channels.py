"""What arrives at each peer, and what is made of its refusals."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from django_resilient_queue.handlers.business.notification.channels.push import public_key
from django_resilient_queue.handlers.business.notification.delivery import (
    NotDelivered,
    Undeliverable,
)
from django_resilient_queue.models import Notification, NotificationDelivery, PushSubscription
from tests.integration.handlers.notifications.notices import (
    ALL,
    NUMBER,
    deliver,
    notify,
    payload,
    recorded,
    register,
)
from tests.peers import Browser, MailServer, PushService, Twilio

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_channel_takes_it(
    ann: User, mail: MailServer, browser: Browser, twilio: Twilio
) -> None:
    link, data = "https://shop.example/7", {"order": 7}
    stored = payload(ann, channels=ALL, link=link, data=data, type="parcel")
    assert deliver(ann, stored) == dict.fromkeys(ALL, "sent")
    note = Notification.objects.get()
    assert (note.user_key, note.title, note.message) == (str(ann.pk), "Hello", "A parcel.")
    (sent,) = mail.mails
    assert (sent["To"], sent["Subject"]) == ("ann@example.com", "Hello")
    assert sent.get_content() == f"A parcel.\r\n\r\n{link}\r\n"
    assert browser.messages == [
        {
            "title": "Hello",
            "message": "A parcel.",
            "type": "parcel",
            "key": stored["key"],
            "link": link,
            "data": data,
        }
    ]
    assert twilio.messages == [
        {"To": NUMBER, "From": "+4930000000", "Body": f"Hello: A parcel. {link}"}
    ]


def test_the_words_are_in_the_users_language(ann: User, browser: Browser, mail: MailServer) -> None:
    """By a translation of the payload, a template, or the project's own catalogue."""
    own = {"de": {"title": "Hallo", "message": "Ein Paket."}, "fr": {"message": "Un colis."}}
    notify(ann, channels=["push"], translations=own)
    notify(ann, channels=["push"], title="Saturday")
    variables = {"name": "Tom & Ann", "weight": "<1 kg"}
    notify(ann, channels=["push", "email"], template="parcel", message="", variables=variables)
    said = [(each["title"], each["message"]) for each in browser.messages]
    assert said == [
        ("Hallo", "Ein Paket."),
        ("Samstag", "A parcel."),
        ("Paket für Tom & Ann", "It weighs <1 kg."),
    ]
    body = mail.mails[0].get_body(("html",))
    assert body is not None
    assert "<p>It weighs <b>&lt;1 kg</b>, Tom &amp; Ann.</p>" in body.get_content()


def test_a_language_that_there_is_not_gives_the_projects_own(ann: User, browser: Browser) -> None:
    User.objects.update(first_name="tlh")
    notify(User.objects.get(), channels=["push"], title="Saturday")
    assert browser.messages[0]["title"] == "Saturday"


def test_a_channel_may_have_words_of_its_own(ann: User, twilio: Twilio) -> None:
    variables = {"name": "Ann", "weight": 5}
    notify(ann, channels=["sms"], template="parcel", message="", variables=variables)
    assert twilio.messages[0]["Body"] == "Paket für Ann: parcel 5"


def test_a_template_cannot_put_a_second_line_into_a_head(ann: User, mail: MailServer) -> None:
    variables = {"name": "x\r\nBcc: eve@example.com", "weight": 1}
    notify(ann, channels=["email"], template="parcel", message="", variables=variables)
    assert mail.mails[0]["Bcc"] is None
    assert mail.mails[0]["Subject"] == "Paket für x Bcc: eve@example.com"


# ---- push -------------------------------------------------------------------------------------


def test_a_push_is_signed_for_its_service(ann: User, push: PushService) -> None:
    notify(ann, channels=["push"], type="security")
    claims = push.claims()
    assert (claims["aud"], claims["sub"]) == (push.url(""), "mailto:ops@shop.example")
    headers = push.requests[0][1]
    assert (headers["urgency"], headers["content-encoding"]) == ("high", "aes128gcm")
    assert len(headers["topic"]) == 32
    assert f"k={public_key()}" in headers["authorization"]


def test_a_long_message_is_cut_to_what_a_service_takes(ann: User, browser: Browser) -> None:
    notify(ann, channels=["push"], message="Ü\n" * 4000)
    (message,) = browser.messages
    assert message["message"].endswith("…")
    assert 3000 < len(browser.service.requests[0][2]) <= 4096


def test_data_that_no_service_takes_is_refused(ann: User, push: PushService) -> None:
    with pytest.raises(Undeliverable, match="push: more than 3993 bytes"):
        notify(ann, channels=["push"], data={"x": "y" * 4000})
    assert push.requests == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_is_forgotten(
    ann: User, push: PushService, browser: Browser, status: int
) -> None:
    push.answers["/old"] = [status]
    register(ann, push.browser("/old"))
    assert notify(ann, channels=["push"]) == {"push": "sent"}
    assert [each.endpoint for each in PushSubscription.objects.all()] == [push.url("/one")]
    assert len(browser.messages) == 1


def test_a_user_whose_browsers_are_all_gone_is_unreachable(ann: User, push: PushService) -> None:
    push.answers["/one"] = [410]
    with pytest.raises(Undeliverable, match="push: the user has no push subscription"):
        notify(ann, channels=["push"])
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_only_the_browsers_that_a_busy_service_has_not_are_tried_again(
    ann: User, push: PushService, browser: Browser, status: int
) -> None:
    other = push.browser("/other")
    register(ann, other)
    push.answers["/other"] = [status, 201]
    stored = payload(ann, channels=["push"])
    with pytest.raises(NotDelivered, match=f"push: HTTP {status}"):
        deliver(ann, stored)
    assert deliver(ann, stored) == {"push": "sent"}
    assert len(browser.messages) == 1
    assert push.asked("/other") == 2


@pytest.mark.parametrize("status", [400, 413, 302, 307])
def test_what_a_service_refuses_is_refused_and_no_redirect_followed(
    ann: User, push: PushService, status: int
) -> None:
    push.answers["/one"] = [status]
    with pytest.raises(Undeliverable, match=f"push: HTTP {status}"):
        notify(ann, channels=["push"])
    assert len(push.requests) == 1


def test_an_answer_without_an_end_holds_nobody_up(ann: User, push: PushService) -> None:
    push.owed = 10**9
    assert notify(ann, channels=["push"]) == {"push": "sent"}


def test_nothing_is_posted_into_the_own_network(
    ann: User, push: PushService, settings: Settings
) -> None:
    """Not by an address, nor by a name that leads there by now."""
    mine = PushSubscription.objects.filter(user_key=str(ann.pk))
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "PUSH_PRIVATE_ADDRESSES": False}
    for endpoint in (push.url("/one"), "https://127.0.0.1/one", "https://localhost.localdomain/"):
        mine.update(endpoint=endpoint)
        with pytest.raises((Undeliverable, NotDelivered)):
            notify(ann, channels=["push"])
    assert push.requests == []


def test_a_name_that_leads_into_the_own_network_is_not_connected_to(
    ann: User, push: PushService, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    PushSubscription.objects.update(endpoint="https://push.example.com/one")
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "PUSH_PRIVATE_ADDRESSES": False}
    found = [(2, 1, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(Undeliverable, match="push: the endpoint is not a public address"):
        notify(ann, channels=["push"])


# ---- sms and mail -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["", "030 123456", "+49", "+1 555", "nobody"])
def test_a_number_that_is_none_is_unreachable(ann: User, twilio: Twilio, number: str) -> None:
    ann.last_name = number
    with pytest.raises(Undeliverable, match="sms: the user"):
        notify(ann, channels=["sms"])
    assert twilio.requests == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, 21211, Undeliverable),  # not a number
        (400, 21610, Undeliverable),  # has said STOP
        (404, 20404, Undeliverable),
        (400, 21606, NotDelivered),  # not our sender
        (401, 20003, NotDelivered),
        (429, 20429, NotDelivered),
        (500, 20500, NotDelivered),
        (503, 20503, NotDelivered),
    ],
)
def test_codes_of_twilio_tell_whether_to_try_again(
    ann: User, twilio: Twilio, status: int, code: int, error: type[Exception]
) -> None:
    twilio.answers[twilio.path], twilio.code = [status], code
    with pytest.raises(error, match=f"sms: HTTP {status}, Twilio {code}") as caught:
        notify(ann, channels=["sms"])
    assert "123456" not in str(caught.value)


def test_a_service_that_is_away_is_tried_again(ann: User, settings: Settings) -> None:
    away = {"TWILIO_URL": "http://127.0.0.1:9", "NOTIFICATION_TIMEOUT": 0.5}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **away}
    PushSubscription.objects.update(endpoint="http://127.0.0.1:9/")
    with pytest.raises(NotDelivered, match="push: ConnectionError; sms: ConnectionError"):
        notify(ann, channels=["push", "sms"])


def test_a_long_text_is_cut_before_its_link(ann: User, twilio: Twilio) -> None:
    notify(ann, channels=["sms"], message="x" * 5000, link="https://shop.example/7")
    body = twilio.messages[0]["Body"]
    assert len(body) == 1600
    assert body.endswith("x… https://shop.example/7")


def test_a_mail_has_the_same_message_id_at_each_attempt(ann: User, mail: MailServer) -> None:
    stored = payload(ann, channels=["email"])
    deliver(ann, stored)
    NotificationDelivery.objects.all().delete()
    deliver(ann, stored)
    one, two = (each["Message-ID"] for each in mail.mails)
    assert one == two


def test_a_user_without_an_address_gets_no_mail(ann: User) -> None:
    ann.email = "ann@example.com\nBcc: eve@example.com"
    with pytest.raises(Undeliverable, match="email: the user has no valid address"):
        notify(ann, channels=["email"])
    assert recorded(ann) == {"email": "unreachable"}
