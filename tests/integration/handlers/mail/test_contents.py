"""The mail as the server gets it."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_resilient_queue.handlers.business.email_send import html
from django_resilient_queue.handlers.business.email_send.errors import MailRefused
from tests.integration.handlers.mail.conftest import Attempt
from tests.mailserver import MailServer

pytestmark = pytest.mark.one_database

SOUND: dict[str, Any] = {"to": ["ann@example.com"], "subject": "hello", "body": "text"}


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_every_field_is_in_its_place(mail_server: MailServer, attempt: Attempt) -> None:
    found = attempt(
        {
            "to": ["Änn Müller <ann@example.com>", "bob@exämple.com"],
            "cc": ["cem@example.com", "ANN@EXAMPLE.COM"],
            "bcc": ["dan@example.com"],
            "reply_to": ["help@example.com"],
            "subject": "Grüße 🎉",
            "body": "Line\n.\nFrom here",
            "headers": {"X-Campaign": "spring", "List-Unsubscribe": "<https://example.com/u>"},
        }
    )
    (message,) = mail_server.messages
    assert mail_server.recipients == [
        [
            *("ann@example.com", "bob@xn--exmple-cua.com", "cem@example.com"),
            *("ANN@example.com", "dan@example.com"),
        ]
    ]
    assert message["To"] == "Änn Müller <ann@example.com>, bob@xn--exmple-cua.com"
    assert message["Cc"] == "cem@example.com, ANN@example.com"
    assert (message["Reply-To"], message["Subject"]) == ("help@example.com", "Grüße 🎉")
    assert (message["X-Campaign"], message["From"]) == ("spring", "Shop <shop@example.com>")
    assert "dan@" not in message.as_string()
    assert message["Message-ID"] == found["message_id"]
    assert found["message_id"].endswith("@example.com>")
    assert part(message, "plain").splitlines() == ["Line", ".", "From here"]
    assert (found["accepted"], found["refused"], mail_server.connections) == (5, [], 1)


def test_only_hidden_recipients_are_not_shown(mail_server: MailServer, attempt: Attempt) -> None:
    attempt({"bcc": ["dan@example.com"], "subject": "hello", "body": "text"})
    assert mail_server.messages[0]["To"] == "undisclosed-recipients:;"


def test_html_gets_its_styles_inlined_and_a_text_beside_it(
    mail_server: MailServer, attempt: Attempt, tmp_path: Path
) -> None:
    (tmp_path / "evil.css").write_text("p { color: green }")
    page = f"""<html><head><title>T</title><style>p {{ color: red }}
    @media print {{ p {{ margin: 0 }} }}</style>
    <link rel="stylesheet" href="{tmp_path}/evil.css"></head>
    <body><h1>Big&amp;small</h1>
    <p>Go <a href="https://example.com/a">there</a> now<br>please</p><ul><li>one<li>two</ul>
    <table><tr><td>a</td><td>b</td></tr></table><script>evil()</script></body></html>"""
    attempt({"to": ["ann@example.com"], "subject": "hello", "html": page})
    (message,) = mail_server.messages
    assert message.get_content_type() == "multipart/alternative"
    shown = part(message, "html")
    assert '<p style="color: red;">' in shown
    assert "@media print" in shown
    assert "green" not in shown
    assert part(message, "plain").splitlines() == [
        "Big&small",
        "",
        "Go there (https://example.com/a) now",
        "please",
        "",
        "- one",
        "- two",
        "",
        "a b",
    ]


def test_styles_stay_where_nobody_wants_them_inlined(
    mail_server: MailServer, attempt: Attempt
) -> None:
    page = "<style>p{color:red}</style><p>a"
    attempt({**SOUND, "html": page, "inline_css": False})
    assert "<style>p{color:red}</style>" in part(mail_server.messages[0], "html")
    assert part(mail_server.messages[0], "plain").strip() == "text"


def test_a_template_escapes_in_html_and_nowhere_else(
    mail_server: MailServer, attempt: Attempt, templates: Path
) -> None:
    (templates / "order.html").write_text("<p>{{ name }}</p>")
    (templates / "order.txt").write_text("{{ name }}")
    (templates / "order.subject.txt").write_text("For {{ name }}\n")
    name = "<b>Ann</b> & Co\r\nBcc: evil@example.net"
    attempt({"to": ["ann@example.com"], "template": "order", "variables": {"name": name}})
    (message,) = mail_server.messages
    assert message["Subject"] == "For <b>Ann</b> & Co Bcc: evil@example.net"
    assert message["Bcc"] is None
    assert "&lt;b&gt;Ann&lt;/b&gt; &amp; Co" in part(message, "html")
    assert part(message, "plain").startswith("<b>Ann</b> & Co")


def test_a_template_with_an_error_is_refused_without_its_words(
    mail_server: MailServer, attempt: Attempt, templates: Path
) -> None:
    (templates / "order.txt").write_text("{% if %}secret")
    with pytest.raises(MailRefused, match=r"^the mail template 'order': TemplateSyntaxError$"):
        attempt({"to": ["ann@example.com"], "subject": "hello", "template": "order"})
    (templates / "other.txt").write_text("{% include 'gone.txt' %}")
    with pytest.raises(MailRefused, match="'other': TemplateDoesNotExist"):
        attempt({**SOUND, "body": "", "template": "other"} | {"body": " a"}, job_id="other")


@pytest.mark.parametrize("name", ["x" * 901, "a\x1bb", "a\x7fb"])
def test_a_subject_that_a_template_makes_is_no_other_than_one_that_is_given(
    mail_server: MailServer, attempt: Attempt, templates: Path, name: str
) -> None:
    (templates / "order.txt").write_text("text")
    (templates / "order.subject.txt").write_text("{{ name }}")
    payload = {"to": ["ann@example.com"], "template": "order", "variables": {"name": name}}
    with pytest.raises(MailRefused, match=r"^the subject of the mail: "):
        attempt(payload)
    assert mail_server.taken == []


# ---- attachments ------------------------------------------------------------------------------


def test_files_of_a_storage_are_attached(
    mail_server: MailServer, attempt: Attempt, files: Path
) -> None:
    (files / "out" / "a.pdf").write_bytes(b"%PDF-\r\n.\n")
    (files / "out" / "ü.csv").write_bytes(b"\xff\xfe")
    attempt(
        {
            **SOUND,
            "attachments": [
                {"path": "out/a.pdf", "name": "Rechnung ü.pdf"},
                {"path": "out/ü.csv", "content_type": "application/x-own"},
            ],
        }
    )
    found = list(mail_server.messages[0].iter_attachments())
    assert [each.get_filename() for each in found] == ["Rechnung ü.pdf", "ü.csv"]
    assert [each.get_content_type() for each in found] == ["application/pdf", "application/x-own"]
    assert [each.get_content() for each in found] == [b"%PDF-\r\n.\n", b"\xff\xfe"]


def test_what_is_no_file_of_the_folder_is_refused(
    mail_server: MailServer, attempt: Attempt, files: Path
) -> None:
    (files / "private" / "secret").write_text("secret")
    (files / "out" / "link").symlink_to(files / "private" / "secret")
    (files / "out" / "folder").symlink_to(files / "private")
    os.mkfifo(files / "out" / "pipe")
    for number, path in enumerate(("link", "folder/secret", "pipe", "gone", "../out", ".")):
        payload = {**SOUND, "attachments": [{"path": f"out/{path}"}]}
        with pytest.raises(Exception, match="attachment") as caught:
            attempt(payload, job_id=f"mail-{number}")
        assert "secret" not in str(caught.value)
    assert mail_server.taken == []


def test_files_that_are_too_much_together_are_refused(
    mail_server: MailServer, attempt: Attempt, files: Path, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "MAIL_SIZE_LIMIT": 2000}
    (files / "out" / "a").write_bytes(b"a" * 1000)
    one = {"path": "out/a"}
    attempt({**SOUND, "attachments": [one]})
    with pytest.raises(MailRefused, match="with attachment 1 the mail has more than 2000 bytes"):
        attempt({**SOUND, "attachments": [one, one]}, job_id="more")
    with pytest.raises(MailRefused, match="more than 2000 bytes"):
        attempt({**SOUND, "body": "a" * 2001}, job_id="body")


# ---- hostile HTML -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 4900,
        "<!--" * 100_000,
        "<a b" * 4900,
        "<b id=1>" * 2400 + "<p>" * 2400,
        "</" * 100_000,
        "<style>" + "{" * 50_000,
        "\x00<p>\ud800",
    ],
    ids=["deep", "comments", "attributes", "formatting", "ends", "braces", "no text"],
)
def test_no_html_ends_the_process_or_takes_for_ever(page: str) -> None:
    """The text is read from what the parser of the styles has put in order."""
    page = page.encode("utf-8", "replace").decode()
    assert html.problem(page) == ""
    html.text_of(html.inlined(page))


def test_elements_are_counted_before_they_are_nested() -> None:
    """Some ten thousand of them would end the process."""
    assert html.problem("<div>" * 5001) == "At most 5000 elements."
    assert html.problem("a" * (1024 * 1024 + 1)) == "At most 1048576 characters."
