"""A server's side of ASGI: one request, and what is sent in answer to it, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.handlers.asgi import ASGIHandler

Sent = Callable[["Exchange", dict[str, Any]], Awaitable[None]]


class Exchange:
    """A POST of a browser that takes each piece as it comes, and may go away before the end."""

    def __init__(self, path: str, cookies: dict[str, str], on_piece: Sent) -> None:
        name, _, query = path.partition("?")
        token = "a" * 32
        pairs = {**cookies, "csrftoken": token}
        headers = {
            "host": "testserver",
            "cookie": "; ".join(f"{key}={value}" for key, value in pairs.items()),
            "x-csrftoken": token,
            "content-type": "application/x-www-form-urlencoded",
        }
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": name,
            "query_string": query.encode(),
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
        self.status = 0
        self.body = b""
        self._on_piece = on_piece
        self._gone = asyncio.Event()
        self._is_read = False

    def go_away(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def answer(self) -> Exchange:
        """Have the site answer, as a server does."""
        await ASGIHandler()(self.scope, self._receive, self._send)  # type: ignore[arg-type]
        return self

    async def _receive(self) -> dict[str, Any]:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        if piece := message.get("body", b""):
            self.body += piece
            await self._on_piece(self, message)
