"""Settings that name classes and what they are made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import NAME, Setting


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
