"""A mail server that answers as a test tells it to, over TCP, on a port that the kernel chose."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import Server
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend

OK = "250 2.0.0 taken"
DROP = "drop"  # the connection, after the data have come
HOLD = "hold"  # the answer, until the client is gone


class SigningBackend(EmailBackend):
    """One that changes what it sends, as projects have them."""

    def _send(self, email_message: Any) -> bool:
        email_message.extra_headers["X-Signature"] = "mine"
        return bool(super()._send(email_message))  # type: ignore[misc]


class BrokenBackend(BaseEmailBackend):
    """One that has a bug."""

    def send_messages(self, email_messages: Any) -> int:
        raise RuntimeError("ann@example.com")


class MailServer:
    """What it has taken, and its next answers. The last of some answers is given for ever."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.connections = 0
        self.port = 0
        self.goodbye = "221 Bye"
        self._recipients: dict[str, list[str]] = {}
        self._data: list[str] = [OK]

    def answer_recipient(self, address: str, *answers: str) -> None:
        self._recipients[address] = list(answers)

    def answer_data(self, *answers: str) -> None:
        self._data = list(answers)

    @property
    def messages(self) -> list[EmailMessage]:
        contents = [each.content for each in self.taken]
        return [
            message_from_bytes(each, policy=policy.default)
            for each in contents
            if isinstance(each, bytes)
        ]

    @property
    def recipients(self) -> list[list[str]]:
        return [list(each.rcpt_tos) for each in self.taken]

    def backend(self, **options: Any) -> dict[str, Any]:
        """What MAIL_BACKENDS says of it."""
        known = {"host": "localhost", "port": self.port, "timeout": 60}
        path = "django.core.mail.backends.smtp.EmailBackend"
        return {"default": {"BACKEND": path, "OPTIONS": {**known, **options}}}

    # ---- called by aiosmtpd --------------------------------------------------------------------

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, name: str, words: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = name
        return words

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = _next(self._recipients.get(address, [OK]))
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = _next(self._data)
        if answer in (OK, DROP, HOLD):
            self.taken.append(envelope)
        while answer == HOLD and not self._is_gone(server):
            await asyncio.sleep(0.02)
        if answer == DROP:
            assert server.transport is not None
            server.transport.close()
        return answer

    @staticmethod
    def _is_gone(server: SMTP) -> bool:
        return server.transport is None or server.transport.is_closing()

    async def handle_QUIT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return self.goodbye


def _next(answers: list[str]) -> str:
    return answers.pop(0) if len(answers) > 1 else answers[0]


class _Controller(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """With *tls* it takes mail after STARTTLS only."""
    server = MailServer()
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if tls else {}
    controller = _Controller(server, hostname="127.0.0.1", port=0, ready_timeout=30, **options)
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()


def addresses(*names: str) -> Sequence[str]:
    return [f"{name}@example.com" for name in names]
