"""What notifications are sent to: a push service that decrypts, a Twilio, and a mail server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import http_ece
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Server:
    """Answers each path with the next of its statuses, then with the last one again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.owed = 0  # bytes that are announced and never come
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heads = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, heads, body))
                status, answer = outer.answer(self.path)
                self.send_response(status)
                if status in (301, 302, 307, 308):
                    self.send_header("Location", outer.url("/elsewhere"))
                self.send_header("Content-Length", str(len(answer) + outer.owed))
                self.end_headers()
                self.wfile.write(answer)
                outer.released.wait(60 if outer.owed else 0)

            def do_GET(self) -> None:
                outer.requests.append((self.path, {}, b""))
                self.send_error(500)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def status(self, path: str) -> int:
        statuses = self.answers.get(path, [201])
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]

    def answer(self, path: str) -> tuple[int, bytes]:
        return self.status(path), b""

    def asked(self, path: str) -> int:
        return sum(each == path for each, _headers, _body in self.requests)


@contextmanager
def running(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.released.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class Browser:
    """One browser's subscription: its keys, and what it was sent."""

    def __init__(self, service: PushService, path: str) -> None:
        self.service, self.path = service, path
        self.key, self.secret = ec.generate_private_key(ec.SECP256R1()), b"sixteen bytes ok"

    @property
    def subscription(self) -> dict[str, Any]:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": base64url(point), "auth": base64url(self.secret)}
        return {"endpoint": self.service.url(self.path), "keys": keys}

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [
            json.loads(
                http_ece.decrypt(
                    body, private_key=self.key, auth_secret=self.secret, version="aes128gcm"
                )
            )
            for path, _headers, body in self.service.requests
            if path == self.path
        ]


class PushService(Server):
    """Knows VAPID."""

    def __init__(self) -> None:
        super().__init__()
        vapid = Vapid02()
        vapid.generate_keys()
        self.vapid_key = vapid.private_pem().decode()

    def browser(self, path: str = "/one") -> Browser:
        return Browser(self, path)

    def claims(self) -> dict[str, Any]:
        """What the last request has signed; fails where the signature is wrong."""
        word, _, rest = self.requests[-1][1]["authorization"].partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(","))
        signed, signature = parts["t"].rsplit(".", 1)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(parts["k"]))
        known = Vapid02()
        known._public_key = key
        assert word == "vapid"
        assert known.verify_token(signed.encode(), signature)
        claims: dict[str, Any] = json.loads(decoded(signed.split(".")[1]))
        return claims


class Twilio(Server):
    """Takes messages, or refuses them with a code of Twilio's."""

    account = "AC" + "0" * 32

    def __init__(self) -> None:
        super().__init__()
        self.path = f"/2010-04-01/Accounts/{self.account}/Messages.json"
        self.code = 20001

    def answer(self, path: str) -> tuple[int, bytes]:
        status = self.status(path)
        if status < 400:
            return status, json.dumps({"sid": "SM1", "status": "queued"}).encode()
        words = {"code": self.code, "message": "not to +4930123456", "status": status}
        return status, json.dumps(words).encode()

    @property
    def messages(self) -> list[dict[str, str]]:
        return [
            {name: values[0] for name, values in parse_qs(body.decode()).items()}
            for _path, _headers, body in self.requests
        ]


class MailServer:
    """Takes mails, or answers each recipient with `refusal`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusal = ""

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _o: Any
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


class _OnAnyPort(Controller):
    """Asks the kernel for a port, and takes the one it got for its own question whether it runs."""

    def _trigger_server(self) -> None:
        listening: Any = self.server
        self.port = listening.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server() -> Iterator[tuple[MailServer, int]]:
    """A mail server and its port, which the kernel chooses."""
    server = MailServer()
    controller = _OnAnyPort(server, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        yield server, controller.port
    finally:
        controller.stop()


def settings_for(push: PushService, twilio: Twilio) -> dict[str, Any]:
    """Every channel; a user's language and number are where a user has room for them."""
    return {
        "NOTIFICATION_LANGUAGE": "first_name",
        "NOTIFICATION_PHONE": "last_name",
        "NOTIFICATION_TIMEOUT": 60,
        "PUSH_VAPID_KEY": push.vapid_key,
        "PUSH_SUBJECT": "mailto:ops@shop.example",
        "PUSH_PRIVATE_ADDRESSES": True,
        "TWILIO_ACCOUNT": twilio.account,
        "TWILIO_TOKEN": "secret",
        "TWILIO_SENDER": "+4930000000",
        "TWILIO_URL": twilio.url(""),
    }
