"""The names of job types, what each is made of, and where they are found.

Knows no handler that is shipped, no store and no queue. A schema is a serializer of the REST
framework, used by what it can do: ``is_valid``, ``errors``, ``validated_data``, ``fields``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from ..conf import HIGHEST_PRIORITY, LOWEST_PRIORITY, settings
from ..exceptions import MissingExtra, UnknownHandler
from ..redaction import EVERY_NAME
from ..setting.numbers import is_whole
from .backoff import Backoff
from .catalogue import Found
from .handler import Handler

F = TypeVar("F", bound=Callable[[Any], Any])

MODULE = "job_handlers"
_NAME = re.compile(r"[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*")
_LONGEST_NAME = 100


class Registry(Found[Handler]):
    """Handlers by name."""

    def __init__(self, module: str | None = MODULE) -> None:
        super().__init__(module)

    def __contains__(self, name: object) -> bool:
        self.discover()
        return name in self._found

    def add(self, handler: Handler) -> None:
        """Take a handler in. Raises ImproperlyConfigured when it, or its name, can't be."""
        _check(handler)
        other = self._found.get(handler.name)
        # The same place again is the module being reloaded.
        if other is not None and other.place != handler.place:
            raise ImproperlyConfigured(
                f"two handlers have the name {handler.name!r}: {other.place} and {handler.place}"
            )
        self._found[handler.name] = handler

    def get(self, name: str) -> Handler:
        """Return a handler. Raises UnknownHandler, which names those that there are."""
        handler = self.find(name)
        if handler is None:
            raise UnknownHandler(name, sorted(self._found))
        return handler

    def is_name(self, word: str) -> bool:
        """Tell a handler's name from a function's dotted path, as rq takes them."""
        return ":" in word or ("." not in word and word in self)

    def redact_keys(self, name: str) -> Sequence[str]:
        """Return what is masked in a payload of this handler: everything, when it is not there to
        be asked. Never raises: letters are also shown where a project's modules fail."""
        try:
            handler = self.find(name)
        except Exception:  # noqa: BLE001 - of a project's module
            handler = None
        return EVERY_NAME if handler is None else (*settings.REDACT_KEYS, *handler.redact)


registry = Registry()


def job_handler(
    name: str,
    *,
    schema: type[Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    attempts: int | None = None,
    backoff: Backoff | None = None,
    timeout: int | None = None,
    concurrency: int | None = None,
    critical: bool = False,
    redact: Sequence[str] = (),
    requires: Sequence[str] = (),
    extra: str = "",
) -> Callable[[F], F]:
    """Register a module-level function of one argument, the validated payload, as a job type.

    *schema* is a serializer class; without one the payload is any dict of JSON values. *queue*
    goes before *priority* (1 to 20), which chooses one. *attempts* (the first one included) and
    *backoff* go before what the priority gives; *timeout* is in seconds. At most *concurrency* jobs
    of it run at once over all workers. *redact* names what is masked where its letters are shown,
    besides REDACT_KEYS; deaths of *critical* ones are alerted at once. *requires* names modules
    that come with *extra*. Raises ImproperlyConfigured.
    """

    def register(function: F) -> F:
        registry.add(
            Handler(
                name=name,
                function=function,
                schema=schema,
                queue_name=queue,
                priority=priority,
                attempts=attempts,
                backoff=backoff,
                timeout=timeout,
                concurrency=concurrency,
                critical=critical,
                redact=redact,
                requires=requires,
                extra=extra,
            )
        )
        return function

    return register


def missing_modules(handler: Handler) -> list[str]:
    """Name the modules that a handler requires and that are not installed."""
    return [module for module in handler.requires if not is_installed(module)]


def require_modules(handler: Handler) -> None:
    """Raise MissingExtra, with the line that installs it, when something is not there."""
    if missing := missing_modules(handler):
        raise MissingExtra(handler.name, missing, handler.extra)


def is_installed(module: str) -> bool:
    """Tell whether a module is there; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # its package is not there, or no real module
        return False


def _check(handler: Handler) -> None:
    for problem in _problems(handler):
        raise ImproperlyConfigured(f"job handler {handler.name!r} ({handler.place}): {problem}")


def _problems(handler: Handler) -> Iterator[str]:
    if not _NAME.fullmatch(handler.name):
        yield "its name must be words of a-z, 0-9, _ and -, with colons between, as in 'email:send'"
    elif len(handler.name) > _LONGEST_NAME:
        yield f"its name must have at most {_LONGEST_NAME} characters"
    yield from _problems_of_function(handler.function)
    for what, number, least, most in (
        ("attempts", handler.attempts, 1, 1000),
        ("concurrency", handler.concurrency, 1, 1000),
        ("priority", handler.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY),
    ):
        if number is not None and not (is_whole(number) and least <= number <= most):
            yield f"{what} must be a whole number between {least} and {most}, not {number!r}"
    yield from _problems_of_times(handler)
    for what, words in (("redact", handler.redact), ("requires", handler.requires)):
        if isinstance(words, str) or not all(words):
            yield f"{what} must be a list of words, none of them empty"


def _problems_of_times(handler: Handler) -> Iterator[str]:
    if handler.timeout is not None and not (is_whole(handler.timeout) and handler.timeout >= 1):
        yield f"timeout must be whole seconds, at least 1, not {handler.timeout!r}"
    backoff: object = handler.backoff
    if not isinstance(backoff, Backoff | None):
        yield f"backoff must be made by exponential or fixed, not {backoff!r}"


def _problems_of_function(function: Any) -> Iterator[str]:
    if not inspect.isfunction(function) or not function.__qualname__.isidentifier():
        yield "it must be a function at the top of a module"
        return
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        yield "it must be a plain function, neither async nor a generator"
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        yield "it must take one argument, the validated payload"
