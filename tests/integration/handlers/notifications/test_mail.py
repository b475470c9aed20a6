"""The mails of notifications: made and handed over as those of email:send are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from django_resilient_queue.exceptions import MissingExtra
from django_resilient_queue.handlers.business.notification.delivery import (
    NotDelivered,
    Undeliverable,
)
from tests.integration.handlers.notifications.notices import deliver, notify, payload, recorded
from tests.mailserver import MailServer, running
from tests.peers import Browser

pytestmark = pytest.mark.django_db(transaction=True)
ANN = "ann@example.com"


@pytest.fixture
def server(ann: User, settings: Settings) -> Iterator[MailServer]:
    with running() as found:
        known = {"MAIL_BACKENDS": found.backend(), "MAIL_TIMEOUT": 5}
        settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **known}
        settings.DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
        yield found


@pytest.fixture
def styled(settings: Settings, tmp_path: Path) -> str:
    """A template whose HTML has a style sheet."""
    folder = tmp_path / "notifications" / "styled"
    folder.mkdir(parents=True)
    (folder / "message.txt").write_text("A parcel.")
    page = "<style>p { color: red }</style><p>A parcel.</p>"
    (folder / "message.html").write_text(page)
    (folder.parent / "german").mkdir()
    (folder.parent / "german" / "message.txt").write_text("A parcel.")
    (folder.parent / "german" / "message.de.html").write_text(page)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    return "styled"


def test_its_styles_are_inlined(ann: User, server: MailServer, styled: str) -> None:
    notify(ann, channels=["email"], template=styled)
    (sent,) = server.messages
    page = sent.get_body(("html",))
    assert page is not None
    assert '<p style="color: red;">A parcel.</p>' in page.get_content()
    assert "<style" not in page.get_content()


def test_it_goes_out_as_the_project_wants_mails_to(
    ann: User, server: MailServer, settings: Settings
) -> None:
    wanted = {
        "MAIL_DOMAIN": "mail.example.com",
        "MAIL_ENVELOPE_SENDER": "bounces+{recipient}@example.com",
    }
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **wanted}
    notify(ann, channels=["email"])
    (sent,) = server.messages
    assert (sent["From"], sent["To"]) == ("Shop <shop@example.com>", ANN)
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Message-ID"].endswith("@mail.example.com>")
    assert server.taken[0].mail_from == "bounces+ann=example.com@example.com"


def test_without_a_title_its_message_begins_with_its_subject(ann: User, server: MailServer) -> None:
    notify(ann, channels=["email"], title="", message=f"{'word ' * 40}\nsecond line")
    (sent,) = server.messages
    subject = sent["Subject"].strip()
    assert subject == f"{'word ' * 15}wo…"


@pytest.mark.parametrize(
    ("answer", "error", "state"),
    [
        ("550 5.1.1 ann@example.com: unknown", Undeliverable, "refused"),
        ("451 4.7.1 ann@example.com: later", NotDelivered, "unavailable"),
        ("421 4.3.2 closing", NotDelivered, "unavailable"),
    ],
)
def test_its_server_says_whether_to_try_again(
    ann: User, server: MailServer, answer: str, error: type[Exception], state: str
) -> None:
    server.answer_recipient(ANN, answer)
    with pytest.raises(error, match=f"email: .*{answer[:9]}") as caught:
        notify(ann, channels=["email"])
    assert "ann@" not in str(caught.value)
    assert recorded(ann) == {"email": state}


def test_a_repeat_is_recognised_by_its_message_id(ann: User, server: MailServer) -> None:
    server.answer_data("451 4.3.0 full", "250 2.0.0 taken")
    stored = payload(ann, channels=["email"])
    with pytest.raises(NotDelivered):
        deliver(ann, stored)
    assert deliver(ann, stored) == {"email": "sent"}
    ann.pk = 4711
    deliver(ann, stored)
    one, two = server.messages
    assert one["Message-ID"] != two["Message-ID"]  # another user's


def test_html_needs_the_extra_and_says_so(
    ann: User, server: MailServer, styled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the door, or where only some languages have it by its worker; text needs nothing."""
    monkeypatch.setitem(sys.modules, "css_inline", None)
    line = r'css_inline.*pip install "django-resilient-queue\[mail\]"'
    with pytest.raises(MissingExtra, match=line):
        payload(ann, channels=["email"], template=styled)
    with pytest.raises(NotDelivered, match=line):
        notify(ann, channels=["email"], template="german")
    monkeypatch.setitem(sys.modules, "email_validator", None)
    assert notify(ann, channels=["email"]) == {"email": "sent"}


def test_a_backend_that_fails_in_its_own_way_takes_no_turn_from_the_next_channel(
    ann: User, browser: Browser, settings: Settings
) -> None:
    own = {"default": {"BACKEND": "tests.mailserver.BrokenBackend", "OPTIONS": {}}}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "MAIL_BACKENDS": own}
    assert notify(ann, channels=["email", "push"], mode="first") == {
        "email": "unavailable",
        "push": "sent",
    }
    with pytest.raises(NotDelivered, match="email: RuntimeError"):
        notify(ann, channels=["email"])
    assert len(browser.messages) == 1
