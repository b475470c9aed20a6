"""What may be warmed: functions of a key under a name, found in each app's ``cache_loaders.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from ...catalogue import Catalogue

F = TypeVar("F", bound=Callable[[str], Any])
_LOCK = 60


@dataclass(frozen=True, slots=True)
class CacheLoader:
    """What `cache_loader` was given; times are in seconds."""

    name: str
    function: Callable[[str], Any]
    ttl: int | None
    keys: Callable[[], Iterable[str]] | None = None
    cache: str = "default"
    cache_key: Callable[[str], str] | None = None
    cache_none: bool = False
    lock: int = _LOCK

    def cache_key_of(self, key: str) -> str:
        """Return what the value of a key is called in the cache."""
        return f"{self.name}:{key}" if self.cache_key is None else self.cache_key(key)


cache_loaders = Catalogue[CacheLoader]("cache loader", "cache_loaders")


def cache_loader(
    name: str,
    *,
    ttl: int | None,
    keys: Callable[[], Iterable[str]] | None = None,
    cache: str = "default",
    cache_key: Callable[[str], str] | None = None,
    cache_none: bool = False,
    lock: int = _LOCK,
) -> Callable[[F], F]:
    """Register a function that returns the value of a key, kept for *ttl* seconds, None for ever.

    *keys* returns all keys, where there is an end to them. *cache* is an alias in CACHES, and
    *cache_key* says what a value is called there, ``"<name>:<key>"`` without it. None is a value
    with *cache_none*. *lock*, in seconds, is longer than a value takes: nobody else loads it
    meanwhile. Raises ImproperlyConfigured.
    """

    def register(function: F) -> F:
        loader = CacheLoader(name, function, ttl, keys, cache, cache_key, cache_none, lock)
        for problem in _problems(loader):
            raise ImproperlyConfigured(f"cache loader {name!r}: {problem}")
        cache_loaders.add(loader)
        return function

    return register


def _problems(loader: CacheLoader) -> Iterable[str]:
    for what, seconds in (("ttl", loader.ttl), ("lock", loader.lock)):
        is_whole = isinstance(seconds, int) and not isinstance(seconds, bool) and seconds >= 1
        if not is_whole and not (what == "ttl" and seconds is None):
            yield f"{what} must be whole seconds, at least 1, not {seconds!r}"
    try:
        inspect.signature(loader.function).bind("key")
    except TypeError:
        yield "it must take one argument, the key"
