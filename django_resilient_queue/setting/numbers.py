"""Settings that are numbers within limits."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from django.core.exceptions import ImproperlyConfigured

from .base import Setting, T, maps_names_to


def is_whole(value: object) -> bool:
    """Tell whether a value is an int; True is one in Python but not here."""
    return isinstance(value, int) and not isinstance(value, bool)


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
        """Take an int."""
        return is_whole(value)


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
        if not maps_names_to(int, value):
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
