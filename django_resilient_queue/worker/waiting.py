"""Sleeping until there is something to do: a report, a job, a command, a signal, or the time."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..conf import settings
from ..exceptions import StoreError
from ..models.paused_queue import ALL
from .commands import Commands
from .horse import Horse
from .modes import Modes
from .waker import Waker

if TYPE_CHECKING:
    from .worker import ResilientWorker


class Waiting:
    """The pipes and sockets of one worker."""

    def __init__(self, worker: ResilientWorker, modes: Modes) -> None:
        self.worker, self.modes = worker, modes
        self.commands = Commands(worker)
        self._bell, self._bell_end = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_end.setblocking(False)
        self._waker: Waker | None = None

    def install_bell(self) -> None:
        """Have every signal end a wait."""
        signal.set_wakeup_fd(self._bell_end.fileno(), warn_on_full_buffer=False)

    def wait(self, timeout: float, horses: Iterable[Horse], *, for_jobs: bool) -> list[Horse | str]:
        """Sleep at most *timeout* seconds; returns horses that have reported, and the keys of
        queues that have jobs. Raises StoreError when Redis does not keep a wait."""
        with selectors.PollSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            for horse in horses:
                selector.register(horse.channel, selectors.EVENT_READ, horse)
                if horse.channel.has_unsent:
                    selector.register(horse.channel.orders, selectors.EVENT_WRITE, horse.flush)
            if self.modes.uses_redis:
                self._register_redis(selector, for_jobs=for_jobs)
            else:
                self.close_redis()
            return self._wakes(selector, timeout)

    def _wakes(self, selector: selectors.BaseSelector, timeout: float) -> list[Horse | str]:
        wakes: list[Horse | str] = []
        for key, _ in selector.select(timeout):
            if key.fileobj is self._bell:
                with suppress(BlockingIOError):
                    self._bell.recv(4096)
            elif isinstance(key.data, Horse):
                wakes.append(key.data)
            elif isinstance(key.data, str):
                if self._waker is not None and self._waker.hear(key.data):
                    wakes.append(key.data)
            else:
                key.data()
        return wakes

    def listen(self) -> None:
        """Be there for commands before a job begins: nobody says one twice."""
        try:
            if self.modes.uses_redis:
                self.commands.listener()
        except StoreError as error:
            self.modes.lose(error)

    @property
    def quiet_left(self) -> float:
        """Seconds until it waits for jobs again, 0 when it does."""
        return self._waker.quiet_left if self._waker is not None else 0.0

    def be_quiet(self, seconds: float) -> None:
        """Do not wait for jobs for a while: there are some that may not be taken."""
        self._wake().be_quiet(seconds)

    def close_redis(self) -> None:
        """End what waits for Redis."""
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        self.commands.close()

    def close_inherited(self) -> None:
        """In a forked child, close its copies; the server hears nothing."""
        self.close_redis()
        self._bell.close()
        self._bell_end.close()

    def close(self) -> None:
        """End all waits, for good."""
        self.close_redis()
        signal.set_wakeup_fd(-1)
        self._bell.close()
        self._bell_end.close()

    def _register_redis(self, selector: selectors.BaseSelector, *, for_jobs: bool) -> None:
        if for_jobs:
            waker = self._wake()
            waker.check()
            # A wait on a paused queue would end at once, again and again.
            waker.arm(but=[queue.key for queue in self.worker.queues if self._is_held(queue.name)])
            for sock, key in waker.sockets().items():
                selector.register(sock, selectors.EVENT_READ, key)
        listener = self.commands.listener()
        if listener is not None:
            selector.register(listener, selectors.EVENT_READ, self.commands.hear)

    def _is_held(self, queue_name: str) -> bool:
        store = self.worker.station.redis
        is_paused = bool(store.paused & {queue_name, ALL})
        return store.is_suspended or is_paused or queue_name in store.troubles

    def _wake(self) -> Waker:
        if self._waker is None:
            link = self.worker.station.redis.link
            keys = [queue.key for queue in self.worker.queues]
            self._waker = Waker(link, keys, patience=settings.WORKER_TIMEOUT)
        return self._waker
