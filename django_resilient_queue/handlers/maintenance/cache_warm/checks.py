"""System checks of the registered cache loaders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage

from .loaders import CacheLoader, cache_loaders

_ID = "django_resilient_queue"


def check_cache_loaders(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Check each; the one that Django knows."""
    return [problem for loader in cache_loaders for problem in _problems(loader)]


def _problems(loader: CacheLoader) -> Iterator[CheckMessage]:
    """E131: no such cache. W131: one that no other process sees."""
    words = f"The cache loader {loader.name!r} uses the cache {loader.cache!r}"
    if loader.cache not in caches.settings:
        hint = f"Known: {', '.join(caches.settings)}."
        yield checks.Error(f"{words}, which is not in CACHES.", hint=hint, id=f"{_ID}.E131")
    elif isinstance(caches[loader.cache], LocMemCache | DummyCache):
        hint = "Take one that processes share, as Redis, Memcached or the database."
        message = f"{words}, which a worker has for itself: warming it is of no use to others."
        yield checks.Warning(message, hint=hint, id=f"{_ID}.W131")
