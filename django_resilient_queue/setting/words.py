"""Settings that are words, some of them of a certain shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from .base import NAME, Setting


class Text(Setting[str]):
    """A word."""

    type_rule = "a string that is not empty"

    def has_type(self, value: object) -> bool:
        """Take a string with something in it."""
        return isinstance(value, str) and value != ""


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


class Secret(OptionalText):
    """A word that no message repeats."""

    def _problem(self, rule: str, value: object) -> str:
        return f"{NAME}[{self.name!r}] must be {rule}, not {type(value).__name__}"
