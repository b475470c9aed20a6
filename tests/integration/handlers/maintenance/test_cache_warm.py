"""cache:warm: values in real caches, each loaded by one run at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from django_resilient_queue import cache_loader
from django_resilient_queue.exceptions import InvalidPayload, PermanentError
from django_resilient_queue.handlers.maintenance.cache_warm import warming
from django_resilient_queue.handlers.maintenance.cache_warm.checks import check_cache_loaders
from django_resilient_queue.handlers.maintenance.cache_warm.loaders import cache_loaders
from django_resilient_queue.handlers.maintenance.cache_warm.locks import Locks
from django_resilient_queue.handlers.maintenance.cache_warm.warming import (
    NeverWarmed,
    NothingWarmed,
)
from django_resilient_queue.handlers.performing import perform
from django_resilient_queue.handlers.registry import registry
from example_project.servers import RedisServer

pytestmark = pytest.mark.one_database

Register = Callable[..., None]


@pytest.fixture(params=["redis", "memory"])
def cache(
    request: pytest.FixtureRequest, redis_server: RedisServer, settings: Settings
) -> Iterator[Any]:
    """An empty cache, which is the default one."""
    backends = {
        "redis": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://{redis_server.host}:{redis_server.port}/1",
        },
        "memory": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "test_cache_warm",
        },
    }
    settings.CACHES = {"default": backends[request.param]}
    caches["default"].clear()
    yield caches["default"]
    caches["default"].clear()


@pytest.fixture
def register(cache: Any) -> Iterator[Register]:
    """Registers loaders of the test, forgotten afterwards; they are called ``t`` if not told."""
    added: list[str] = []

    def add(function: Callable[[str], Any], name: str = "t", **more: Any) -> None:
        cache_loader(name, **{"ttl": 60, **more})(function)
        added.append(name)

    yield add
    for name in added:
        cache_loaders.remove(name)


def warm(*keys: str, **more: Any) -> dict[str, Any]:
    payload = registry.get("cache:warm").payload({"loader": "t", "keys": keys, **more})
    result = perform("cache:warm", **payload)
    assert isinstance(result, dict)
    assert result["data"] is not None
    return result["data"]


def errors_of(*keys: str, **more: Any) -> Any:
    with pytest.raises(InvalidPayload) as caught:
        warm(*keys, **more)
    return caught.value.errors


def test_values_are_loaded_and_stand_in_the_cache(register: Register, cache: Any) -> None:
    register(str.upper, keys=lambda: ["a", "b", "a"])
    report = warm(all=True)
    assert (report["total"], report["warmed"], report["keys"]) == (
        2,
        2,
        {"a": "warmed", "b": "warmed"},
    )
    assert cache.get_many(["t:a", "t:b"]) == {"t:a": "A", "t:b": "B"}
    assert cache.get("t:a:drq-lock") is None


def test_two_runs_at_once_load_a_key_once(register: Register, cache: Any) -> None:
    loaded: list[str] = []
    begun, may_end = threading.Event(), threading.Event()

    def load(key: str) -> str:
        loaded.append(key)
        begun.set()
        assert may_end.wait(60)
        return "value"

    register(load)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(warm, "k")
        try:
            assert begun.wait(60)
            may_end_at_once = threading.Timer(10, may_end.set)  # should the second load as well
            may_end_at_once.start()
            second = warm("k")
        finally:
            may_end.set()
            may_end_at_once.cancel()
        assert (second["busy"], second["warmed"]) == (1, 0)
        assert first.result(20)["warmed"] == 1
    assert (loaded, cache.get("t:k")) == (["k"], "value")


def test_a_lock_is_released_by_its_owner_alone(cache: Any) -> None:
    mine, other = Locks(cache, "one", 60), Locks(cache, "two", 60)
    assert mine.take("k")
    assert not other.take("k")
    other.release()
    assert mine.held(["k"]) == {"k"}
    cache.set("k:drq-lock", "two/x", 60)  # mine has expired, another has taken it
    mine.release()
    assert cache.get("k:drq-lock") == "two/x"


def test_a_later_attempt_of_a_job_takes_its_locks_over(cache: Any) -> None:
    killed, again = Locks(cache, "one", 60), Locks(cache, "one", 60)
    assert killed.take("k")
    assert again.take("k")
    assert (killed.held(["k"]), again.held(["k"])) == (set(), {"k"})


def test_a_value_loaded_under_a_lock_that_was_lost_is_not_written(
    register: Register, cache: Any
) -> None:
    def load(key: str) -> str:
        cache.set("t:k:drq-lock", "another/x", 60)
        return "stale"

    register(load)
    assert warm("k")["lost"] == 1
    assert cache.get("t:k") is None
    assert cache.get("t:k:drq-lock") == "another/x"


def test_a_key_that_fails_leaves_the_others(register: Register, cache: Any) -> None:
    def load(key: str) -> str:
        if key == "b":
            raise ConnectionError("no answer")
        return key

    register(load)
    report = warm("a", "b", "c")
    assert (report["warmed"], report["failed"], list(report["errors"])) == (2, 1, ["b"])
    assert cache.get_many(["t:a", "t:b", "t:c"]) == {"t:a": "a", "t:c": "c"}
    assert cache.get("t:b:drq-lock") is None


def test_a_value_that_no_cache_can_take_leaves_the_others(
    register: Register, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "BATCH", 3)

    def load(key: str) -> object:
        return (each for each in key) if key == "b" else key

    register(load, keys=lambda: ["a", "b", "c", "d"])
    report = warm(all=True)
    assert report["keys"] == {"a": "warmed", "b": "failed", "c": "warmed", "d": "warmed"}
    assert "pickle" in report["errors"]["b"]
    assert cache.get_many(["t:a", "t:b", "t:c", "t:d"]) == {"t:a": "a", "t:c": "c", "t:d": "d"}
    assert cache.get("t:b:drq-lock") is None


def test_a_key_that_has_no_name_in_the_cache_leaves_the_others(
    register: Register, cache: Any
) -> None:
    register(str.upper, cache_key=lambda key: f"n{int(key)}")
    report = warm("1", "b", "3")
    assert report["keys"] == {"b": "failed", "1": "warmed", "3": "warmed"}
    assert cache.get_many(["n1", "n3"]) == {"n1": "1", "n3": "3"}


@pytest.mark.parametrize(
    ("error", "raised"), [(ConnectionError, NothingWarmed), (PermanentError, NeverWarmed)]
)
def test_when_every_key_fails_the_job_does(
    register: Register, error: type[Exception], raised: type[Exception]
) -> None:
    def load(key: str) -> str:
        raise error("no")

    register(load)
    with pytest.raises(raised, match="none of 2 keys"):
        warm("a", "b")


def test_only_missing_leaves_what_is_there(register: Register, cache: Any) -> None:
    register(str.upper)
    cache.set("t:a", "old")
    report = warm("a", "b", only_missing=True)
    assert report["keys"] == {"a": "present", "b": "warmed"}
    assert cache.get_many(["t:a", "t:b"]) == {"t:a": "old", "t:b": "B"}
    assert warm("a")["warmed"] == 1
    assert cache.get("t:a") == "A"


def test_keys_are_written_batch_by_batch(
    register: Register, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "BATCH", 2)
    seen: list[int] = []

    def load(key: str) -> str:
        seen.append(len(cache.get_many([f"t:{number}" for number in range(5)])))
        return key

    register(load, keys=lambda: map(str, range(5)))
    assert warm(all=True)["warmed"] == 5
    assert seen == [0, 0, 2, 2, 4]


def test_more_keys_than_the_most_are_told(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "MOST_KEYS", 3)
    register(str.upper, keys=lambda: map(str, range(5)))
    report = warm(all=True)
    assert (report["total"], report["has_more"]) == (3, True)


@pytest.mark.parametrize(("cache_none", "outcome"), [(False, "none"), (True, "warmed")])
def test_none_is_a_value_where_its_loader_says_so(
    register: Register, cache: Any, cache_none: bool, outcome: str
) -> None:
    register(lambda key: None, cache_none=cache_none)
    assert warm("a")["keys"] == {"a": outcome}
    assert ("t:a" in cache) is cache_none


def test_what_a_payload_may_not_say_is_an_error_of_its_field(register: Register) -> None:
    register(str.upper, name="prices")
    assert "Did you mean 'prices'?" in str(errors_of("a", loader="price")["loader"])
    assert list(errors_of("a", loader="prices", cache="other")) == ["cache"]
    assert list(errors_of(loader="prices")) == ["keys"]
    assert list(errors_of("a", loader="prices", all=True)) == ["keys"]
    assert list(errors_of(loader="prices", all=True)) == ["all"]
    assert list(errors_of("a b", loader="prices")) == ["keys"]
    assert list(errors_of("a", loader="prices", ttl=0)) == ["ttl"]


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"ttl": True}, {"lock": 0.5}, {"name": "A b"}])
def test_a_loader_that_can_not_work_is_refused(register: Register, wrong: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        register(str.upper, **wrong)


def test_a_loader_takes_a_key_and_its_name_is_its_own(register: Register) -> None:
    with pytest.raises(ImproperlyConfigured, match="it must take one argument, the key"):
        register(lambda: None)
    register(str.upper)
    with pytest.raises(ImproperlyConfigured, match="two cache loaders are named 't'"):
        register(str.lower)


def test_the_checks_name_a_cache_that_is_none_or_of_no_use(register: Register) -> None:
    register(str.upper, cache="other")
    (problem,) = [each for each in check_cache_loaders(None) if "'t'" in each.msg]
    assert (problem.id, problem.hint) == ("django_resilient_queue.E131", "Known: default.")
