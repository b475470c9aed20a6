"""What a payload of email:send may say: everything else is refused with errors by field."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_resilient_queue import InvalidPayload, enqueue
from django_resilient_queue.exceptions import MissingExtra
from django_resilient_queue.handlers.registry import registry

pytestmark = pytest.mark.one_database

SOUND: dict[str, Any] = {"to": ["ann@example.com"], "subject": "hello", "body": "text"}


def errors(**changes: Any) -> dict[str, Any]:
    with pytest.raises(InvalidPayload) as caught:
        registry.get("email:send").payload({**SOUND, **changes})
    assert "evil" not in str(caught.value)  # it goes to logs
    return dict(caught.value.errors)


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "ann@evil",
        "ann@example.com\nBcc: evil@example.net",
        "Ann\r\nBcc: evil@example.net <ann@example.com>",
        "ann@example.com, evil@example.net",
        "Ann <ann@example.com>, <evil@example.net>",
        "Evil\u2028 <ann@example.com>",
        "ann@[127.0.0.1]",
        "änn@example.com",
        "ann\x00@example.com",
        "a" * 700 + "@example.com",
        "",
        7,
    ],
)
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_what_is_no_address_is_refused(field: str, address: Any) -> None:
    assert set(errors(**{field: [address]})) == {field}


@pytest.mark.parametrize("subject", ["a\nBcc: evil@example.net", "a\rb", "a\x00", "a\u2028b", " "])
def test_a_subject_is_one_line(subject: str) -> None:
    assert set(errors(subject=subject)) == {"subject"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Bcc", "evil@example.net"),
        ("to", "evil@example.net"),
        ("From", "evil@example.net"),
        ("Sender", "evil@example.net"),
        ("Return-Path", "evil@example.net"),
        ("Message-ID", "<evil@example.net>"),
        ("Content-Type", "text/evil"),
        ("MIME-Version", "evil"),
        ("DKIM-Signature", "evil"),
        ("Received", "evil"),
        ("X-SMTPAPI", '{"to": ["evil@example.net"]}'),
        ("X-Mailgun-Variables", "evil"),
        ("X-Note\r\nBcc", "evil@example.net"),
        ("X-Note", "a\r\nBcc: evil@example.net"),
        ("X-Note", "a\n evil"),
        ("X-Note", 7),
        ("X-Note", "é" * 1000),
        ("X Note", "evil"),
        ("", "evil"),
    ],
)
def test_headers_of_structure_and_routing_are_refused(name: str, value: Any) -> None:
    assert set(errors(headers={name: value})) == {"headers"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": []}, "to"),
        ({"to": [f"a{n}@example.com" for n in range(101)]}, "to"),
        ({"cc": [f"a{n}@example.com" for n in range(100)]}, "to"),
        ({"body": ""}, "body"),
        ({"body": None}, "body"),
        ({"subject": None}, "subject"),
        ({"from_email": "evil@example.net"}, "from_email"),
        ({"mailer": "evil"}, "mailer"),
        ({"mailr": "evil"}, "mailr"),
        ({"variables": {"a": 1}}, "variables"),
        ({"headers": {f"X-{n}": "a" for n in range(31)}}, "headers"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "headers"),
        ({"html": "<div>" * 6000}, "html"),
        ({"template": "order", "variables": {"a": ["\x00"]}}, "variables"),
        ({"template": "order", "variables": {"a": {"\ud800": 1}}}, "variables"),
        ({"template": "../evil"}, "template"),
        ({"template": "/etc/evil"}, "template"),
        ({"template": "evil"}, "template"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], field: str) -> None:
    assert field in errors(**changes)


def test_the_subject_may_be_left_to_a_template_that_has_one(templates: Path) -> None:
    (templates / "plain.txt").write_text("text")
    payload = {"to": ["ann@example.com"], "template": "plain"}
    with pytest.raises(InvalidPayload) as caught:
        registry.get("email:send").payload(payload)
    assert set(caught.value.errors) == {"subject"}
    (templates / "titled.txt").write_text("text")
    (templates / "titled.subject.txt").write_text("subject")
    assert registry.get("email:send").payload({**payload, "template": "titled"})


def test_a_template_and_html_exclude_each_other(templates: Path) -> None:
    (templates / "plain.txt").write_text("text")
    assert set(errors(template="plain", html="<p>a</p>")) == {"html"}


@pytest.mark.parametrize(
    "attachment",
    [
        {"path": "../evil"},
        {"path": "/etc/evil"},
        {"path": "out/../private/evil"},
        {"path": "out//evil"},
        {"path": "out\\evil"},
        {"path": "out/evil\x00"},
        {"path": "C:/evil"},
        {"path": "private/evil"},
        {"path": "outside/evil"},
        {"path": "out/a", "storage": "evil"},
        {"path": "out/a", "name": "../evil"},
        {"path": "out/a", "name": 'a"; evil="b'},
        {"path": "out/a", "name": "a\r\nX-Evil: b"},
        {"path": "out/a", "content_type": "text/plain; evil=1"},
        {"path": "out/a", "content_type": "multipart/mixed"},
        {"path": "out/a", "content_type": "message/rfc822"},
        {"path": "out/a", "paht": "evil"},
        {},
        "out/a",
    ],
)
def test_attachments_come_from_allowed_folders_alone(
    files: Path, settings: Settings, attachment: Any
) -> None:
    assert set(errors(attachments=[attachment])) == {"attachments"}


def test_without_a_setting_nothing_is_attached() -> None:
    assert set(errors(attachments=[{"path": "out/a"}])) == {"attachments"}


def test_without_the_extra_a_mail_is_refused_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "css_inline", None)
    with pytest.raises(MissingExtra, match=r'css_inline.*pip install "django-res.*\[mail\]"'):
        enqueue("email:send", SOUND)


def test_senders_are_those_that_the_project_names(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"MAIL_SENDERS": ["@shop.example.com", "Boss@Example.org"]}
    settings.DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
    for sender in ("a@shop.example.com", "Boss <boss@example.org>", "shop@example.com"):
        registry.get("email:send").payload({**SOUND, "from_email": sender})
    assert set(errors(from_email="evil@example.org")) == {"from_email"}
    assert set(errors(from_email="evil@not.shop.example.com")) == {"from_email"}
