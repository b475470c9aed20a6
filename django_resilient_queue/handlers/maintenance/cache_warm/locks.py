"""Locks in a cache, of any backend: who adds the token has the lock until it expires.

A cache may forget a lock, as it may forget a value: a value is then loaded twice, nothing worse.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable

from django.core.cache.backends.base import BaseCache

_SAFE = 0.8  # of a lock's time, after which it is left to expire: to delete it might hit another's


class Locks:
    """Those of one run. *owner* names it over its attempts: one that was killed is followed by
    another, which takes the locks over."""

    def __init__(
        self,
        cache: BaseCache,
        owner: str,
        seconds: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache, self._owner, self._seconds, self._clock = cache, owner, seconds, clock
        self._token = f"{owner}/{secrets.token_hex(8)}"
        self._taken: dict[str, float] = {}

    def take(self, key: str) -> bool:
        """Lock what has this key in the cache; False when another run has it."""
        lock, now = _lock(key), self._clock()
        if not self._cache.add(lock, self._token, self._seconds):
            if not str(self._cache.get(lock, "")).startswith(f"{self._owner}/"):
                return False
            self._cache.set(lock, self._token, self._seconds)
        self._taken[key] = now
        return True

    def age(self) -> float:
        """Return for how long the oldest has been held, in seconds."""
        return self._clock() - min(self._taken.values(), default=self._clock())

    def held(self, keys: Iterable[str]) -> set[str]:
        """Return those that this run has still."""
        by_lock = {_lock(key): key for key in keys}
        found = self._cache.get_many(list(by_lock))
        return {by_lock[lock] for lock, token in found.items() if token == self._token}

    def release(self) -> None:
        """Give back all that this run has still."""
        now = self._clock()
        young = [key for key, at in self._taken.items() if now - at < _SAFE * self._seconds]
        self._taken.clear()
        if young:
            self._cache.delete_many([_lock(key) for key in self.held(young)])


def _lock(key: str) -> str:
    return f"{key}:drq-lock"
