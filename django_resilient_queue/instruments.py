"""What looks on as jobs are enqueued and performed, where the project uses it: tracing, Sentry.

Nothing here, and no job, needs any of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from rq.job import Job

Failed = Callable[[BaseException], None]

_LONGEST = 2.0  # seconds that a process waits, as it ends, for what is still to be sent


class Instrument(Protocol):
    """One of them. What it raises in an enqueue or a job is not caught: it raises nothing."""

    def enqueuing(self, queue_name: str, jobs: Sequence[Job]) -> AbstractContextManager[None]:
        """Be around the enqueue of *jobs*; may give them more ``meta`` first."""

    def performing(
        self, job: Job, about: Mapping[str, Any]
    ) -> AbstractContextManager[Failed | None]:
        """Be around one attempt; *about* is what log lines say of it. Returns who is to hear of an
        error, if anybody."""

    def flush(self) -> None:
        """Send what is still to be sent."""


Find = Callable[[], Instrument | None]
_finds: dict[str, Find] = {}


def register(name: str, find: Find) -> None:
    """Have *find* asked, each time, for an instrument; None while the project does not use it."""
    _finds[name] = find


def active() -> list[Instrument]:
    """Return those that the project uses."""
    return [found for find in _finds.values() if (found := find()) is not None]


@contextmanager
def enqueuing(queue_name: str, jobs: Sequence[Job]) -> Iterator[None]:
    """Have them look on at an enqueue."""
    with ExitStack() as stack:
        for instrument in active():
            stack.enter_context(instrument.enqueuing(queue_name, jobs))
        yield


@contextmanager
def performing(job: Job, about: Mapping[str, Any]) -> Iterator[Failed]:
    """Have them look on at an attempt; gives the function to be called with its error."""
    listeners: list[Failed] = []

    def failed(error: BaseException) -> None:
        for listener in listeners:
            listener(error)

    with ExitStack() as stack:
        for instrument in active():
            listener = stack.enter_context(instrument.performing(job, about))
            if listener is not None:
                listeners.append(listener)
        yield failed


def flush() -> None:
    """Send what is still to be sent, before this process ends: in two seconds or not at all."""
    found = active()
    if not found:
        return
    # Exporters wait as long as they please: for a server that hangs, or try again.
    sending = threading.Thread(target=_flush_all, args=(found,), daemon=True)
    sending.start()
    sending.join(_LONGEST)


def _flush_all(found: Sequence[Instrument]) -> None:
    for instrument in found:
        instrument.flush()
