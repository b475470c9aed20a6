"""What arrives at each peer, and what is made of its refusals."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from django_resilient_queue.models import Notification
from tests.integration.handlers.notifications.notices import (
    ALL,
    NUMBER,
    deliver,
    payload,
)
from tests.peers import Browser, MailServer, Twilio

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
