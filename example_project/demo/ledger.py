"""A mail server that delivers nowhere: it notes which order was mailed, when, from which store."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from email import message_from_bytes
from types import TracebackType

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Mail:
    """One delivery, at a moment of the monotonic clock."""

    order: str
    executed_from: str
    at: float


class Ledger:
    """The SMTP server in a thread, on a port that the kernel chose."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self.port = 0

    def __enter__(self) -> Ledger:
        server = self._loop.run_until_complete(
            self._loop.create_server(self._new_session, "127.0.0.1", 0)
        )
        self.port = int(server.sockets[0].getsockname()[1])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def mails(self) -> list[Mail]:
        """All deliveries so far, in their order."""
        return self._mails.copy()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd with each mail."""
        headers = message_from_bytes(envelope.original_content or b"")
        self._mails.append(
            Mail(
                order=headers.get("X-Order", ""),
                executed_from=headers.get("X-Executed-From", "unknown"),
                at=time.monotonic(),
            )
        )
        return "250 Noted"

    def _new_session(self) -> SMTP:
        return SMTP(self, hostname="shop.example.com", loop=self._loop)


async def _cancel_all() -> None:
    """End the open sessions, so that closing the loop leaves no task behind."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
