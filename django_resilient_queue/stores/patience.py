"""How long a request waits for Redis, whichever it asks and however often: for each once, and for
several that it asks one after the other no longer than for two.

What a page does to a job are several questions, each of which a frozen Redis leaves without an
answer until its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from redis import exceptions as errors

from ..conf import settings
from ..exceptions import StoreError, StoreRefused

_TIMEOUTS = (errors.TimeoutError, TimeoutError)
# Parts of ENQUEUE_TIMEOUT: after which nobody is waited for any more, and as long as which nothing
# takes that goes wrong at once.
_MOST, _LONG = 1.5, 0.5


@dataclass
class _Patience:
    lost: dict[Hashable, BaseException] = field(default_factory=dict)
    last: BaseException | None = None
    waited: float = 0.0  # seconds without an answer; at the same time for several count once
    until: float = 0.0

    def lose(self, link: Hashable, cause: BaseException, since: float) -> None:
        now = time.monotonic()
        if link not in self.lost:  # else a thread says so that nobody waits for any more
            took = max(now - max(since, self.until), 0)
            # Of one that several Sentinels hang for: another may be well.
            self.waited += min(took, settings.ENQUEUE_TIMEOUT)
        self.until, self.last, self.lost[link] = now, cause, cause

    def lost_with(self, link: Hashable) -> BaseException | None:
        is_over = self.waited >= settings.ENQUEUE_TIMEOUT * _MOST
        return self.last if is_over else self.lost.get(link)


_patience: ContextVar[_Patience | None] = ContextVar("drq_patience", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, and in threads that are begun there, a Redis that did not answer in time is not asked
    again: whatever else it is wanted for is refused at once."""
    token = _patience.set(_Patience())
    try:
        yield
    finally:
        _patience.reset(token)


def lost_with(link: Hashable) -> BaseException | None:
    """Return by what it was lost with a Redis; None while it is not."""
    patience = _patience.get()
    return None if patience is None else patience.lost_with(link)


def lose_with(link: Hashable, error: StoreError, since: float) -> None:
    """Lose it, if it was waited for since that moment: what else goes wrong may be over with the
    next connection."""
    patience = _patience.get()
    if patience is not None and _was_waited_for(error, since):
        patience.lose(link, error.cause, since)


def _was_waited_for(error: StoreError, since: float) -> bool:
    # Sentinels that hang are no timeout to redis-py, nor is a name that nobody resolves.
    took = time.monotonic() - since
    return isinstance(error.cause, _TIMEOUTS) or took >= settings.ENQUEUE_TIMEOUT * _LONG


@contextmanager
def waiting_for(link: Hashable) -> Iterator[None]:
    """Ask a Redis inside. Raises StoreRefused, and nothing is asked, when patience was lost."""
    if _patience.get() is None:
        yield
        return
    if (cause := lost_with(link)) is not None:
        raise StoreRefused(cause)
    since = time.monotonic()
    try:
        yield
    except StoreError as error:
        lose_with(link, error, since)
        raise
