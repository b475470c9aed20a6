"""Kinds of settings: each reads the project's value of one key, and says what is wrong with it.

Nothing is cached, so `override_settings` works.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar, cast, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

NAME = "RESILIENT_QUEUE"


def project_settings() -> Mapping[str, object]:
    """Return the project's dict, empty when it has none."""
    value: object = getattr(django_settings, NAME, None)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(value).__name__}.")
    return value


class Setting(Generic[T]):
    """One key: a descriptor that reads, validates and returns the project's value."""

    type_rule: str

    def __init__(self, default: T, help_text: str) -> None:
        self.default = default
        self.help_text = help_text
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the key from the attribute."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        """Return the value in force, or raise ImproperlyConfigured with key, rule and value."""
        if instance is None:
            return self
        project = project_settings()
        if self.name not in project:
            return self.unset()
        value = project[self.name]
        problem = self.type_problem(value) or self.range_problem(value)
        if problem:
            raise ImproperlyConfigured(f"{problem}.")
        return self.convert(value)

    def unset(self) -> T:
        """Return the value where the project's dict has none."""
        return self.default

    def type_problem(self, value: object) -> str | None:
        """Say which rule a value of the wrong type breaks."""
        return None if self.has_type(value) else self._problem(self.type_rule, value)

    def range_problem(self, value: object) -> str | None:
        """Say which limit a value of the right type breaks."""
        return None if self.in_range(value) else self._problem(self.limits(), value)

    def has_type(self, value: object) -> bool:
        """Tell whether the type fits."""
        raise NotImplementedError

    def limits(self) -> str:
        """Return the limits in words, where there are any."""
        raise NotImplementedError

    def in_range(self, value: object) -> bool:
        """Tell whether a value of the right type is within the limits."""
        return True

    def convert(self, value: object) -> T:
        """Return a validated value in the type that readers see."""
        return cast(T, value)

    def _problem(self, rule: str, value: object) -> str:
        return f"{NAME}[{self.name!r}] must be {rule}, not {value!r}"


class Switch(Setting[bool]):
    """True or False."""

    type_rule = "True or False"

    def has_type(self, value: object) -> bool:
        """Take a bool and nothing that merely counts as one."""
        return isinstance(value, bool)


class Text(Setting[str]):
    """A word."""

    type_rule = "a string that is not empty"

    def has_type(self, value: object) -> bool:
        """Take a string with something in it."""
        return isinstance(value, str) and value != ""


class _Number(Setting[T]):
    """A number within limits."""

    def __init__(self, default: T, minimum: float, maximum: float, help_text: str) -> None:
        super().__init__(default, help_text)
        self.minimum = minimum
        self.maximum = maximum

    def limits(self) -> str:
        """Return both limits; they are inclusive."""
        return f"between {self.minimum:g} and {self.maximum:g}"

    def in_range(self, value: object) -> bool:
        """Compare with both limits."""
        return self.minimum <= cast(float, value) <= self.maximum


class Whole(_Number[int]):
    """A whole number."""

    type_rule = "a whole number"

    def __init__(
        self,
        default: int,
        minimum: float,
        maximum: float,
        help_text: str,
        *,
        environment: str = "",
    ) -> None:
        super().__init__(default, minimum, maximum, help_text)
        self.environment = environment

    def unset(self) -> int:
        """Return the environment's value, or else the default; ImproperlyConfigured as a dict's."""
        text = os.environ.get(self.environment, "") if self.environment else ""
        if not text:
            return self.default
        where = f"The environment variable {self.environment}"
        try:
            value = int(text)
        except ValueError:
            raise ImproperlyConfigured(f"{where} must be {self.type_rule}, not {text!r}.") from None
        if not self.in_range(value):
            raise ImproperlyConfigured(f"{where} must be {self.limits()}, not {text!r}.")
        return value

    def has_type(self, value: object) -> bool:
        """Take an int; True is an int in Python but not here."""
        return isinstance(value, int) and not isinstance(value, bool)


class Seconds(_Number[float]):
    """A length of time."""

    type_rule = "a number of seconds"

    def has_type(self, value: object) -> bool:
        """Take a finite int or float; True is an int in Python but not here."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(cast(float, value))

    def convert(self, value: object) -> float:
        """Return a float also where the project wrote a whole number."""
        return float(cast(float, value))


class OutboxChoice(Setting[bool | Mapping[str, bool]]):
    """A switch for all queues, or one for each."""

    type_rule = "True, False, or a dict of queue name to True or False"

    def has_type(self, value: object) -> bool:
        """Take a bool or a dict of them."""
        return isinstance(value, bool) or _maps_names_to(bool, value)


class NumbersByName(Setting[Mapping[str, int]]):
    """A whole number for each of some names; *named* and *numbers* say in words what these are."""

    def __init__(
        self,
        default: Mapping[str, int],
        help_text: str,
        *,
        named: str,
        numbers: str,
        minimum: int,
        maximum: int | None = None,
        closed: bool = False,
    ) -> None:
        super().__init__(MappingProxyType(default), help_text)
        self.type_rule = f"a dict of {named} to whole number"
        self.numbers, self.minimum, self.maximum = numbers, minimum, maximum
        self.names = frozenset(default) if closed else None
        if closed:
            self.type_rule += f" ({named}: {', '.join(default)})"

    def has_type(self, value: object) -> bool:
        """Take a dict of whole numbers, and where the names are *closed* those of the default."""
        if not _maps_names_to(int, value):
            return False
        return self.names is None or self.names.issuperset(cast(Mapping[str, int], value))

    def limits(self) -> str:
        """Return the limits of each number."""
        if self.maximum is None:
            return f"a dict of {self.numbers} of at least {self.minimum}"
        return f"a dict of {self.numbers} between {self.minimum} and {self.maximum}"

    def in_range(self, value: object) -> bool:
        """Compare each number with the limits; they are inclusive."""
        most = math.inf if self.maximum is None else self.maximum
        return all(self.minimum <= each <= most for each in cast(Mapping[str, int], value).values())


class Names(Setting[Sequence[str]]):
    """Some words."""

    type_rule = "a list or tuple of strings that are not empty"

    def has_type(self, value: object) -> bool:
        """Take strings in an order; one alone is a mistake."""
        return isinstance(value, list | tuple) and all(isinstance(x, str) and x for x in value)


class OptionalText(Setting[str]):
    """A word, or none."""

    type_rule = "a string"

    def has_type(self, value: object) -> bool:
        """Take a string, an empty one as well."""
        return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Folders of one storage: those that may be read, empty for all of it, and the one for outputs,
    empty for none."""

    read: tuple[str, ...]
    write: str


class FilePlaces(Setting[Mapping[str, FilePlace]]):
    """Folders by name of storage."""

    type_rule = "a dict of storage name to {'read': [folders], 'write': folder}"
    _KEYS = frozenset({"read", "write"})

    def has_type(self, value: object) -> bool:
        """Take folders as strings, under either key or both."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and self._is_place(place) for name, place in value.items()
        )

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict whose folders are relative, as 'uploads/photos', without '..'"

    def in_range(self, value: object) -> bool:
        """Refuse what could lead out of the storage."""
        places = self.convert(value).values()
        return all(_is_folder(name) for place in places for name in (*place.read, place.write))

    def convert(self, value: object) -> Mapping[str, FilePlace]:
        """Return places."""
        given = cast(Mapping[str, Mapping[str, Any]], value)
        return {
            name: FilePlace(tuple(place.get("read", ())), place.get("write", ""))
            for name, place in given.items()
        }

    def _is_place(self, value: object) -> bool:
        if not isinstance(value, Mapping) or not self._KEYS.issuperset(value):
            return False
        read, write = value.get("read", ()), value.get("write", "")
        are_folders = isinstance(read, list | tuple) and all(isinstance(each, str) for each in read)
        return are_folders and isinstance(write, str)


class Folders(Setting[Mapping[str, str]]):
    """Folders of this machine, by a name of their own."""

    type_rule = "a dict of name to folder"

    def has_type(self, value: object) -> bool:
        """Take strings for strings."""
        return _maps_names_to(str, value)

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict of absolute folders, as '/srv/app/tmp', without '..' and not '/' itself"

    def in_range(self, value: object) -> bool:
        """Refuse what is no folder in particular."""
        return all(
            folder.startswith("/") and _is_folder(folder.strip("/")) and folder.strip("/") != ""
            for folder in cast(Mapping[str, str], value).values()
        )


class SocketAddress(Setting[str]):
    """Where a server listens, or nothing."""

    type_rule = "a string"

    def has_type(self, value: object) -> bool:
        """Take a string, an empty one as well."""
        return isinstance(value, str)

    def limits(self) -> str:
        """Return both forms."""
        return "empty, 'unix:/path/of/socket' or 'tcp://host:port'"

    def in_range(self, value: object) -> bool:
        """Take these forms alone."""
        return re.fullmatch(r"|unix:/[^\0]+|tcp://[^\s/:@]+:\d{1,5}", cast(str, value)) is not None


def _is_folder(name: str) -> bool:
    parts = name.rstrip("/").split("/")
    return name == "" or not ("\\" in name or any(part in ("", ".", "..") for part in parts))


class Shaped(Setting[str]):
    """A string of a certain shape, or an empty one; *shape* says in words what *pattern* takes."""

    type_rule = "a string"

    def __init__(self, default: str, help_text: str, *, pattern: str, shape: str) -> None:
        super().__init__(default, help_text)
        self.pattern, self.shape = re.compile(pattern), shape

    def has_type(self, value: object) -> bool:
        """Take a string, an empty one as well."""
        return isinstance(value, str)

    def limits(self) -> str:
        """Return the shape."""
        return f"empty or {self.shape}"

    def in_range(self, value: object) -> bool:
        """Compare the whole with the pattern."""
        return value == "" or self.pattern.fullmatch(cast(str, value)) is not None


class FoldersByStorage(Setting[Mapping[str, Sequence[str]]]):
    """Folders of some storages; an empty one is all of its storage."""

    type_rule = "a dict of storage name to list of folders"

    def has_type(self, value: object) -> bool:
        """Take lists of strings by name."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str)
            and isinstance(folders, list | tuple)
            and all(isinstance(each, str) for each in folders)
            for name, folders in value.items()
        )

    def limits(self) -> str:
        """Return what a folder is."""
        return "a dict whose folders are relative, as 'invoices/sent', without '..'"

    def in_range(self, value: object) -> bool:
        """Refuse what could lead out of the storage."""
        given = cast(Mapping[str, Sequence[str]], value)
        return all(_is_folder(each) for folders in given.values() for each in folders)


class BackendsByName(Setting[Mapping[str, Mapping[str, Any]]]):
    """Classes with what they are made with, in the form of Django's STORAGES."""

    type_rule = "a dict of name to {'BACKEND': dotted path, 'OPTIONS': {…}}"

    def has_type(self, value: object) -> bool:
        """Take these two keys, the second not always."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and self._is_backend(each) for name, each in value.items()
        )

    def _is_backend(self, value: object) -> bool:
        if not isinstance(value, Mapping) or not {"BACKEND", "OPTIONS"}.issuperset(value):
            return False
        path, options = value.get("BACKEND"), value.get("OPTIONS", {})
        return isinstance(path, str) and "." in path and isinstance(options, Mapping)

    def _problem(self, rule: str, value: object) -> str:
        # Options hold passwords.
        return f"{NAME}[{self.name!r}] must be {rule}"


class Secret(OptionalText):
    """A word that no message repeats."""

    def _problem(self, rule: str, value: object) -> str:
        return f"{NAME}[{self.name!r}] must be {rule}, not {type(value).__name__}"


def _maps_names_to(kind: type, value: object) -> bool:
    # `type() is`: a bool is an int to isinstance, yet True is no priority.
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and type(each) is kind for name, each in value.items()
    )
