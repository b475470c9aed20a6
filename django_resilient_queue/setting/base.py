"""What all settings have in common: a key of the project's dict, and what is wrong with its value.

Nothing is cached, so `override_settings` works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Self, TypeVar, cast, overload

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


def maps_names_to(kind: type, value: object) -> bool:
    """Tell whether a value is a dict of strings to values of one type."""
    # `type() is`: a bool is an int to isinstance, yet True is no priority.
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and type(each) is kind for name, each in value.items()
    )
