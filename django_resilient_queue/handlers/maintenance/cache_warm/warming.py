"""The keys of one job: each loaded under its lock, and written in batches."""

from __future__ import annotations

import pickle
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from django.core.cache import caches
from rq import get_current_job
from rq.timeouts import BaseTimeoutException

from .... import events
from ....exceptions import PermanentError, ResilientQueueError, describe
from ...progress import progress
from .loaders import CacheLoader
from .locks import Locks

BATCH = 100
MOST_KEYS = 100_000  # that a loader may name
MOST_TOLD = 200  # keys whose outcome stands in the result
# What is raised for a value that can't be pickled, and by no cache that is away.
_UNPICKLABLE = (pickle.PickleError, TypeError, AttributeError, ValueError, RecursionError)
_OLDEST_LOCK = 0.25  # of its time, after which what is loaded is written
WARMED, PRESENT, BUSY, NONE, LOST, FAILED = "warmed", "present", "busy", "none", "lost", "failed"


class NothingWarmed(ResilientQueueError):
    """No key could be loaded; another time it may be otherwise."""


class NeverWarmed(PermanentError):
    """No key can be loaded: each error was a PermanentError."""


class Warming:
    """A validated payload at work."""

    def __init__(self, loader: CacheLoader, data: Mapping[str, Any]) -> None:
        self.loader, self.data = loader, data
        self.alias: str = data["cache"] or loader.cache
        self.cache = caches[self.alias]
        self.ttl = loader.ttl if data["ttl"] is None else int(data["ttl"])
        job = get_current_job()
        owner = secrets.token_hex(8) if job is None else job.id
        self.locks = Locks(self.cache, owner, loader.lock)
        self.counts: Counter[str] = Counter()
        self.outcomes: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.is_permanent = True

    def run(self) -> dict[str, Any]:
        """Warm every key. What a loader raises for one is its outcome; NothingWarmed, or
        NeverWarmed, when there is no other. Raises what the cache raises."""
        keys, has_more = self._keys()
        for start in range(0, len(keys), BATCH):
            try:
                self._warm(keys[start : start + BATCH])
            finally:
                self.locks.release()
            progress(min(start + BATCH, len(keys)), len(keys))
        if keys and self.counts[FAILED] == len(keys):
            kind = NeverWarmed if self.is_permanent else NothingWarmed
            raise kind(f"none of {len(keys)} keys: {next(iter(self.errors.values()))}")
        return self._result(len(keys), has_more)

    def _keys(self) -> tuple[Sequence[str], bool]:
        if not self.data["all"] or self.loader.keys is None:
            return list(dict.fromkeys(self.data["keys"])), False
        found = list(islice(self.loader.keys(), MOST_KEYS + 1))
        return list(dict.fromkeys(found[:MOST_KEYS])), len(found) > MOST_KEYS

    def _warm(self, keys: Iterable[str]) -> None:
        names = self._names(keys)
        there = self.cache.get_many(list(names.values())) if self.data["only_missing"] else {}
        loaded: dict[str, Any] = {}
        for key, name in names.items():
            if name in there:
                self._tell(key, PRESENT)
            elif not self.locks.take(name):
                self._tell(key, BUSY)
            else:
                self._load(key, loaded)
                if self.locks.age() > _OLDEST_LOCK * self.loader.lock:
                    self._write(loaded, names)
        self._write(loaded, names)

    def _names(self, keys: Iterable[str]) -> dict[str, str]:
        names = {}
        for key in keys:
            try:
                names[key] = self.loader.cache_key_of(key)
            except BaseTimeoutException:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a project's function raises
                self._fail(key, error)
        return names

    def _load(self, key: str, loaded: dict[str, Any]) -> None:
        try:
            value = self.loader.function(key)
        except BaseTimeoutException:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a loader of a project raises
            self._fail(key, error)
            return
        if value is None and not self.loader.cache_none:
            self._tell(key, NONE)
        else:
            loaded[key] = value

    def _write(self, loaded: dict[str, Any], names: Mapping[str, str]) -> None:
        """Write what was loaded under a lock that is held still, and give the locks back."""
        held = self.locks.held(names[key] for key in loaded) if loaded else set()
        values = {names[key]: value for key, value in loaded.items() if names[key] in held}
        refused = self._refused(values)
        for key in loaded:
            if names[key] not in held:
                self._tell(key, LOST)
            elif names[key] in refused:
                self._fail(key, refused[names[key]])
            else:
                self._tell(key, WARMED)
        loaded.clear()
        self.locks.release()

    def _refused(self, values: Mapping[str, Any]) -> dict[str, Exception]:
        """Write values; return why some were not taken. Raises what a cache raises that is away."""
        if not values:
            return {}
        try:
            refused = self.cache.set_many(dict(values), self.ttl)
            return dict.fromkeys(refused, NothingWarmed("the cache did not take it"))
        except _UNPICKLABLE as error:
            if len(values) == 1:
                return dict.fromkeys(values, error)
        # One of them: the others can be had without it.
        alone = [self._refused({name: value}) for name, value in values.items()]
        return {name: why for each in alone for name, why in each.items()}

    def _fail(self, key: str, error: Exception) -> None:
        self.is_permanent = self.is_permanent and isinstance(error, PermanentError)
        events.CACHE_NOT_WARMED.log(loader=self.loader.name, cause=type(error).__name__)
        if len(self.errors) < MOST_TOLD:
            self.errors[key] = describe(error)
        self._tell(key, FAILED)

    def _tell(self, key: str, outcome: str) -> None:
        self.counts[outcome] += 1
        if len(self.outcomes) < MOST_TOLD:
            self.outcomes[key] = outcome

    def _result(self, total: int, has_more: bool) -> dict[str, Any]:
        outcomes = (WARMED, PRESENT, BUSY, NONE, LOST, FAILED)
        return {
            "loader": self.loader.name,
            "cache": self.alias,
            "total": total,
            "has_more": has_more,
            **{outcome: self.counts[outcome] for outcome in outcomes},
            "keys": self.outcomes,
            "errors": self.errors,
        }
