"""Promises of the names of job types."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_resilient_queue import job_handler
from django_resilient_queue.conf import settings
from django_resilient_queue.exceptions import UnknownHandler
from django_resilient_queue.handlers.handler import Handler
from django_resilient_queue.handlers.registry import Registry, missing_modules, registry
from django_resilient_queue.redaction import EVERY_NAME
from tests.postoffice import job_handlers


def work(data: object) -> None:
    """A function that can be a handler."""


def other_work(data: object) -> None:
    """Another."""


async def work_later(data: object) -> None:
    """None of these can."""


def work_by_and_by(data: object) -> Iterator[object]:
    yield data


def work_for_two(data: object, more: object) -> None: ...


def work_for_nobody() -> None: ...


class Office:
    def work(self) -> None: ...


@pytest.fixture
def empty() -> Registry:
    return Registry(module=None)


def test_handlers_of_installed_apps_are_found_by_themselves() -> None:
    """Nobody has imported the module on purpose: this one only compares."""
    assert registry.get("letter:send").function is job_handlers.send
    names = [handler.name for handler in registry]
    assert names == sorted(names)
    assert "letter:send" in names


def test_handlers_are_looked_for_at_first_use_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "django_resilient_queue.handlers.catalogue.autodiscover_modules", asked.append
    )
    fresh = Registry()
    assert asked == []
    assert "a" not in fresh
    assert list(fresh) == []
    assert asked == ["job_handlers"]


def test_a_module_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its handlers would be unknown for as long as the process lives."""

    def fail(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("django_resilient_queue.handlers.catalogue.autodiscover_modules", fail)
    fresh = Registry()
    for _ in range(2):
        with pytest.raises(ImportError, match="job_handlers"):
            fresh.get("a")


def test_the_decorator_gives_the_function_back() -> None:
    """So that it can be called and tested as what it is."""
    assert job_handlers.tidy({"a": 1}) == {"a": 1}


def test_a_name_given_twice_is_an_error_with_both_places(empty: Registry) -> None:
    empty.add(Handler("a:b", work))
    with pytest.raises(ImproperlyConfigured) as caught:
        empty.add(Handler("a:b", other_work))
    assert f"{__name__}.work (" in str(caught.value)
    assert f"{__name__}.other_work (" in str(caught.value)


def test_a_module_may_be_loaded_again(empty: Registry) -> None:
    empty.add(Handler("a:b", work))
    empty.add(Handler("a:b", work, timeout=7))
    assert empty.get("a:b").timeout == 7


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(empty: Registry) -> None:
    empty.add(Handler("email:send", work))
    empty.add(Handler("tidy", work))
    with pytest.raises(UnknownHandler, match="'emial:send'; did you mean 'email:send'"):
        empty.get("emial:send")
    with pytest.raises(UnknownHandler, match="known: email:send, tidy"):
        empty.get("x:y")


@pytest.mark.parametrize("name", ["email:send", "a:b:c", "cleanup", "web-push:send_2"])
def test_names_are_words(empty: Registry, name: str) -> None:
    empty.add(Handler(name, work))
    assert empty.is_name(name)


@pytest.mark.parametrize(
    "name", ["", "Email:send", "a.b", "a:", ":a", "a b", "a(b", "é", "a" * 101]
)
def test_other_names_are_refused(empty: Registry, name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="its name must"):
        empty.add(Handler(name, work))


@pytest.mark.parametrize(
    "function",
    [
        work_later,
        work_by_and_by,
        work_for_two,
        work_for_nobody,
        Office.work,
        lambda data: None,
        functools.partial(work, 1),
        Office,
    ],
)
def test_only_plain_functions_of_a_module_are_handlers(empty: Registry, function: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'a:b'.*: it must"):
        empty.add(Handler("a:b", function))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"attempts": 0}, "attempts must be a whole number between 1 and 1000, not 0"),
        ({"attempts": True}, "attempts must be"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"concurrency": 1.5}, "concurrency must be"),
        ({"timeout": 0}, "timeout must be whole seconds, at least 1, not 0"),
        ({"timeout": "60"}, "timeout must be"),
        ({"priority": 21}, "priority must be a whole number between 1 and 20, not 21"),
        ({"priority": "high"}, "priority must be"),
        ({"backoff": 2}, "backoff must be made by exponential or fixed, not 2"),
        ({"redact": ("a", "")}, "redact must be"),
        ({"redact": "body"}, "redact must be"),
        ({"requires": "json"}, "requires must be"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=problem):
        job_handler("a:b", **options)(work)
    assert "a:b" not in registry


def test_a_dotted_path_is_no_name(empty: Registry) -> None:
    """It is rq's way to name a function."""
    empty.add(Handler("tidy", work))
    assert [empty.is_name(word) for word in ("tidy", "x:y", "tests.jobs.succeed", "print")] == [
        True,
        True,
        False,
        False,
    ]


def test_what_a_handler_redacts_is_added_to_what_the_project_does() -> None:
    assert registry.redact_keys("letter:send") == (*settings.REDACT_KEYS, "subject")


def test_of_a_handler_that_nobody_knows_everything_is_redacted() -> None:
    assert registry.redact_keys("letter:gone") == EVERY_NAME


def test_handlers_are_looked_for_before_they_are_said_to_redact_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process may show a letter before anything else."""
    fresh = Registry()
    find = "django_resilient_queue.handlers.catalogue.autodiscover_modules"
    monkeypatch.setattr(find, lambda module: fresh.add(Handler("a:b", work, redact=("c",))))
    assert fresh.redact_keys("a:b") == (*settings.REDACT_KEYS, "c")


def test_a_module_that_fails_hides_all_and_keeps_no_letter_from_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("django_resilient_queue.handlers.catalogue.autodiscover_modules", fail)
    assert Registry().redact_keys("a:b") == EVERY_NAME


def test_modules_that_are_not_installed_are_found_without_importing_them() -> None:
    requires = ("json", "no_such", "no_such.inner", "json.no_such", "xml.dom.minidom")
    handler = Handler("a:b", work, requires=requires)
    assert missing_modules(handler) == ["no_such", "no_such.inner", "json.no_such"]
