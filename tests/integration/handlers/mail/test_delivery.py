"""What the answers of a mail server mean: tried again, refused, and nobody gets it twice."""

from __future__ import annotations

import logging
import ssl
import time
from typing import Any

import pytest
import trustme
from django.core import mail
from pytest_django import Settings

from django_resilient_queue import enqueue, get_job, get_queue
from django_resilient_queue.handlers.business.email_send.errors import (
    MailConnectionError,
    MailPostponed,
    MailRefused,
    MailTimeout,
)
from example_project.servers import FaultyProxy
from tests.integration.handlers.mail.conftest import Attempt
from tests.mailserver import DROP, OK, MailServer, addresses, running

LATER, NEVER = "451 4.7.1 ann@example.com: later", "550 5.1.1 ann@example.com: unknown"


def mail_to(*names: str, **more: Any) -> dict[str, Any]:
    return {"to": addresses(*names), "subject": "secret subject", "body": "secret body", **more}


def with_settings(settings: Settings, **changes: Any) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **changes}


# ---- recipients -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"), [(LATER, MailPostponed), (NEVER, MailRefused)], ids=["4xx", "5xx"]
)
def test_a_recipient_alone_is_tried_again_or_refused(
    mail_server: MailServer, attempt: Attempt, answer: str, error: type[Exception]
) -> None:
    mail_server.answer_recipient("ann@example.com", answer)
    with pytest.raises(error, match=answer[:9]) as caught:
        attempt(mail_to("ann"))
    assert type(caught.value) is error
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [("451 4.3.0 full", MailPostponed), ("554 5.6.0 secret body", MailRefused)],
)
def test_a_mail_is_tried_again_or_refused(
    mail_server: MailServer, attempt: Attempt, answer: str, error: type[Exception]
) -> None:
    mail_server.answer_data(answer)
    with pytest.raises(error, match=answer[:9]) as caught:
        attempt(mail_to("ann", "bob"))
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)


def test_who_has_got_it_does_not_get_it_again(mail_server: MailServer, attempt: Attempt) -> None:
    mail_server.answer_recipient("bob@example.com", LATER, OK)
    mail_server.answer_recipient("cem@example.com", NEVER)
    with pytest.raises(MailPostponed, match="1 of 3 recipients have to wait"):
        attempt(mail_to("ann", "bob", "cem"))
    found = attempt()
    assert mail_server.recipients == [addresses("ann"), addresses("bob")]
    assert found["accepted"] == 2
    assert found["refused"] == [{"field": "to", "index": 2, "code": 550, "status": "5.1.1"}]
    first, second = mail_server.messages
    assert first["Message-ID"] == second["Message-ID"] == found["message_id"]
    assert first["To"] == second["To"]  # each sees all of them
    attempt()
    assert len(mail_server.taken) == 2


@pytest.mark.parametrize("backend", [None, "tests.mailserver.SigningBackend"])
@pytest.mark.parametrize("closing", ["ann", "bob"])
def test_nobody_has_got_what_a_server_closed_before_the_content(
    mail_server: MailServer,
    attempt: Attempt,
    settings: Settings,
    closing: str,
    backend: str | None,
) -> None:
    """At a 421 to one recipient smtplib tells of those that it has asked for, and of no others."""
    if backend:
        known = mail_server.backend()["default"]
        with_settings(settings, MAIL_BACKENDS={"default": {**known, "BACKEND": backend}})
    mail_server.answer_recipient(f"{closing}@example.com", "421 4.3.2 closing", OK)
    with pytest.raises(MailPostponed, match="2 of 2 recipients have to wait"):
        attempt(mail_to("ann", "bob"))
    assert mail_server.taken == []
    assert attempt()["accepted"] == 2
    assert mail_server.recipients == [addresses("ann", "bob")]


def test_an_id_that_is_used_again_is_another_mail(
    mail_server: MailServer, attempt: Attempt
) -> None:
    one = attempt(mail_to("ann"))
    two = attempt(mail_to("ann"))
    assert len(mail_server.taken) == 2
    assert one["message_id"] != two["message_id"]


def test_a_job_that_repeats_sends_a_mail_each_time(
    mail_server: MailServer, attempt: Attempt
) -> None:
    """It keeps its id and its meta."""
    attempt(mail_to("ann"))
    job = get_queue("high").fetch_job("mail")
    assert job is not None
    job.repeats_left = 3
    job.save()
    attempt()
    first, second = mail_server.messages
    assert first["Message-ID"] != second["Message-ID"]


def test_the_job_of_a_requeued_letter_is_the_same_mail(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    """Also where the attempts before it got no answer: it has the meta, and another id."""
    known = dict(settings.RESILIENT_QUEUE)
    with running() as gone:
        pass
    with_settings(settings, MAIL_BACKENDS=gone.backend())
    with pytest.raises(MailConnectionError):
        attempt(mail_to("ann"))
    job = get_queue("high").fetch_job("mail")
    assert job is not None
    settings.RESILIENT_QUEUE = known
    enqueue("email:send", mail_to("ann"), job_id="mail-r1", meta=job.meta)
    found = attempt(job_id="mail-r1")
    assert found["message_id"] == f"<{job.meta['email']['token']}@example.com>"


def test_neither_log_nor_meta_repeats_what_is_in_a_mail(
    mail_server: MailServer, attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_resilient_queue")
    mail_server.answer_recipient("ann@example.com", NEVER)
    attempt(mail_to("ann", "bob"))
    found = get_job("mail")
    assert found is not None
    assert found.job is not None
    assert "mail refused recipients=1 answers={'550 5.1.1': 1}" in caplog.text
    for text in (caplog.text, str(found.job.meta)):
        assert not any(word in text for word in ("secret", "ann@", "bob@"))


# ---- connections ------------------------------------------------------------------------------


def test_a_connection_that_breaks_after_the_data_is_tried_again_under_the_same_id(
    mail_server: MailServer, attempt: Attempt
) -> None:
    """Nobody knows whether it was taken: who gets both can tell by the Message-ID."""
    mail_server.answer_data(DROP, OK)
    with pytest.raises(MailConnectionError, match="while sending"):
        attempt(mail_to("ann"))
    attempt()
    first, second = mail_server.messages
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mail_that_was_taken_is_taken_whatever_the_server_says_at_the_end(
    mail_server: MailServer, attempt: Attempt
) -> None:
    mail_server.goodbye = "2" * 9000  # more than a line may have
    assert attempt(mail_to("ann"))["accepted"] == 1


def test_a_server_that_is_not_there_is_tried_again(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    with running() as gone:
        pass
    with_settings(settings, MAIL_BACKENDS=gone.backend())
    with pytest.raises(MailConnectionError, match="ConnectionRefusedError while connecting"):
        attempt(mail_to("ann"))


def test_a_server_that_does_not_answer_is_given_up_in_time(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    with FaultyProxy("127.0.0.1", mail_server.port) as proxy:
        proxy.blackhole()
        backend = mail_server.backend(port=proxy.port, timeout=120)
        with_settings(settings, MAIL_BACKENDS=backend, MAIL_TIMEOUT=0.3)
        begun = time.monotonic()
        with pytest.raises(MailTimeout, match="while connecting"):
            attempt(mail_to("ann"))
        assert time.monotonic() - begun < 60  # the backend's own limit is twice as long


def test_a_password_that_is_refused_is_tried_again(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    """It says nothing of this mail."""
    with_settings(settings, MAIL_BACKENDS=mail_server.backend(username="a", password="secret"))
    with pytest.raises(MailConnectionError) as caught:
        attempt(mail_to("ann"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("is_known", [True, False])
def test_tls_is_spoken_with_known_servers_only(
    attempt: Attempt,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    is_known: bool,
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with running(context) as server:
        settings.RESILIENT_QUEUE = {"MAIL_BACKENDS": server.backend(use_tls=True)}
        if is_known:
            assert attempt(mail_to("ann"))["accepted"] == 1
        else:
            with pytest.raises(MailConnectionError, match="SSLCertVerificationError"):
                attempt(mail_to("ann"))
        assert len(server.taken) == is_known


# ---- envelopes --------------------------------------------------------------------------------


def test_bounces_go_where_the_project_wants_them(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    with_settings(settings, MAIL_ENVELOPE_SENDER="bounces+{job}@example.org", MAIL_DOMAIN="m.org")
    found = attempt(mail_to("ann", "bob"))
    token = found["message_id"][1:].partition("@")[0]
    assert found["message_id"] == f"<{token}@m.org>"
    assert [each.mail_from for each in mail_server.taken] == [f"bounces+{token}@example.org"]
    assert mail_server.messages[0]["From"] == "Shop <shop@example.com>"


def test_each_recipient_may_have_bounces_of_its_own(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    with_settings(settings, MAIL_ENVELOPE_SENDER="b+{recipient}@example.org")
    mail_server.answer_recipient("bob@example.com", LATER, OK)
    long = "x" * 60
    with pytest.raises(MailPostponed):
        attempt(mail_to("ann", "bob", long))
    assert attempt()["accepted"] == 3
    senders = [each.mail_from or "" for each in mail_server.taken]
    assert senders[0] == "b+ann=example.com@example.org"
    assert senders[2] == "b+bob=example.com@example.org"
    assert len(senders[1].partition("@")[0]) == 18
    assert mail_server.recipients == [addresses("ann"), addresses(long), addresses("bob")]
    assert mail_server.connections == 2


# ---- other backends ---------------------------------------------------------------------------


def test_any_backend_takes_it(attempt: Attempt, settings: Settings) -> None:
    """Django's own setting, where MAIL_BACKENDS names nothing."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert attempt(mail_to("ann", bcc=addresses("bob")))["accepted"] == 2
    (found,) = mail.outbox
    assert "From" not in found.extra_headers  # some services refuse a sender of the envelope
    assert found.recipients() == addresses("ann", "bob")
    attempt()
    assert len(mail.outbox) == 1


def test_a_project_s_own_smtp_backend_sends_in_its_own_way(
    mail_server: MailServer, attempt: Attempt, settings: Settings
) -> None:
    backend = {**mail_server.backend()["default"], "BACKEND": "tests.mailserver.SigningBackend"}
    with_settings(settings, MAIL_BACKENDS={"own": backend})
    payload = mail_to("bob", mailer="own")
    attempt(payload)
    assert mail_server.messages[0]["X-Signature"] == "mine"
    mail_server.answer_recipient("ann@example.com", NEVER)
    with pytest.raises(MailRefused, match="550"):
        attempt({**payload, "to": ["Ann <ann@example.com>"]}, job_id="ann")


def anymail(settings: Settings, name: str = "test.EmailBackend") -> None:
    backend = {"BACKEND": f"anymail.backends.{name}", "OPTIONS": {}}
    settings.RESILIENT_QUEUE = {"MAIL_BACKENDS": {"service": backend}}


def test_a_service_says_whom_it_refuses(
    attempt: Attempt, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anymail.backends.test import EmailBackend
    from anymail.message import AnymailRecipientStatus

    def answer(*args: Any) -> dict[str, Any]:
        statuses = {"ann@example.com": "sent", "bob@example.com": "rejected"}
        return {name: AnymailRecipientStatus(name, each) for name, each in statuses.items()}

    monkeypatch.setattr(EmailBackend, "parse_recipient_status", answer)
    anymail(settings)
    found = attempt(mail_to("ann", "bob", mailer="service"))
    assert found["accepted"] == 1
    assert found["refused"] == [{"field": "to", "index": 1, "code": 0, "status": "rejected"}]


@pytest.mark.parametrize(
    ("status", "error"), [(400, MailRefused), (429, MailPostponed), (503, MailPostponed)]
)
def test_a_service_that_refuses_is_tried_again_or_not(
    attempt: Attempt,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: type[Exception],
) -> None:
    from anymail.backends.test import EmailBackend
    from anymail.exceptions import AnymailAPIError

    def refuse(*args: Any) -> None:
        failure = AnymailAPIError("ann@example.com")
        failure.status_code = status
        raise failure

    monkeypatch.setattr(EmailBackend, "post_to_esp", refuse)
    anymail(settings)
    with pytest.raises(error, match=f"AnymailAPIError {status}") as caught:
        attempt(mail_to("ann", mailer="service"))
    assert "ann@" not in str(caught.value)
