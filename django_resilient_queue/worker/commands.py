"""rq's commands to a worker: the socket on which they arrive, and what each of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis import exceptions as redis_errors
from redis.client import PubSub
from rq.command import handle_command, parse_payload

from .. import events
from ..conf import settings
from ..exceptions import StoreRefused
from ..stores.links import link_to

if TYPE_CHECKING:
    from .worker import ResilientWorker


class Commands:
    """Those to one worker."""

    def __init__(self, worker: ResilientWorker) -> None:
        self.worker = worker
        self._pubsub: PubSub | None = None

    def listener(self) -> Any:
        """The socket on which rq's commands arrive, subscribed if need be. Raises StoreError."""
        try:
            if self._pubsub is None:
                # Of its own pool: it holds a connection for as long as it listens.
                timeout = settings.WORKER_TIMEOUT
                client = link_to(self.worker.job_connection, timeout=timeout).client
                self._pubsub = client.pubsub(ignore_subscribe_messages=True)
                self._pubsub.subscribe(self.worker.pubsub_channel_name)
            return self._pubsub.connection._sock  # type: ignore[union-attr]
        except (redis_errors.RedisError, OSError) as error:
            self.close()
            raise StoreRefused(error) from error

    def hear(self) -> None:
        """Read the commands that have arrived and carry them out. Raises StoreError."""
        # All of them: what the client has read ahead wakes no selector.
        while (message := self._next_message()) is not None:
            if message["type"] == "message":
                self._carry_out(parse_payload(message))

    def close(self) -> None:
        """Close the socket for commands."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _carry_out(self, payload: dict[str, Any]) -> None:
        """rq's handlers know of one horse with one job; what concerns those is done by ours."""
        shift, command = self.worker.shift, payload["command"]
        if shift is None:
            return
        if command in ("stop-job", "stop-execution"):
            job_id = str(payload.get("job_id", ""))
            execution_id = str(payload.get("execution_id", ""))
            if not shift.control.stop_job(job_id, execution_id):
                events.NOT_STOPPED.log(job_id=job_id)
        elif command == "kill-horse":
            if not shift.control.kill_horses():
                events.NO_HORSE_BUSY.log()
        else:
            handle_command(self.worker, payload)

    def _next_message(self) -> Any:
        try:
            while self._pubsub is not None and self._pubsub.connection.can_read(0):  # type: ignore[attr-defined]
                message = self._pubsub.get_message(timeout=0)
                if message is not None:  # None is the answer to the subscription
                    return message
        except (redis_errors.RedisError, OSError) as error:
            self.close()
            raise StoreRefused(error) from error
        return None
