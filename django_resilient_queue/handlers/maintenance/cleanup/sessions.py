"""The task ``expired_sessions``, for every session engine. No key is listed: it is a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.contrib.sessions.backends import cache, db, file, signed_cookies
from django.utils import timezone

from ...cleanups import Find, cleanup_task, pages


@cleanup_task("expired_sessions")
def expired_sessions(options: Mapping[str, Any], limit: int) -> Iterator[Find]:
    """Sessions whose time is over: in the database in batches, in files one by one. Those in a
    cache or in cookies end by themselves; another engine's are not counted."""
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    if issubclass(store, db.SessionStore):
        yield from _in_database(store, limit)
    elif issubclass(store, file.SessionStore):
        yield from _in_files(store, limit)
    elif not issubclass(store, cache.SessionStore | signed_cookies.SessionStore):
        yield Find(partial(_clear, store), names=(f"those that {store.__module__} has",), count=0)


def _in_database(store: Any, limit: int) -> Iterator[Find]:
    expired = store.get_model_class().objects.filter(expire_date__lt=timezone.now())
    for page in pages(expired, limit):
        keys = [key for (key,) in page]
        yield Find(partial(_delete, expired, keys), count=len(keys))


def _delete(expired: Any, keys: list[str]) -> int:
    # Of those that are expired still: a session may have been renewed meanwhile.
    return int(expired.filter(pk__in=keys).delete()[0])


def _in_files(store: Any, limit: int) -> Iterator[Find]:
    prefix = django_settings.SESSION_COOKIE_NAME
    for path in Path(store._get_storage_path()).iterdir():
        if limit and path.name.startswith(prefix):
            key = path.name.removeprefix(prefix)
            if _is_expired(store, key):
                limit -= 1
                yield Find(partial(_remove_file, store, key))


def _is_expired(store: Any, key: str) -> bool:
    """Load it as the engine does, which deletes what is expired and makes a new one: both in
    words only."""
    deleted: list[object] = []
    session = store(key)
    session.create, session.delete = (lambda: None), (lambda key=None: deleted.append(key))
    session.load()
    return bool(deleted)


def _remove_file(store: Any, key: str) -> int:
    if not _is_expired(store, key):
        return 0
    store(key).delete()
    return 1


def _clear(store: Any) -> int:
    store.clear_expired()
    return 1
