"""Things that projects register under a name, and the module of each app that they are in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Generic, Protocol, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Entry(Protocol):
    """What is registered: a function under a name."""

    @property
    def name(self) -> str: ...
    @property
    def function(self) -> Callable[..., Any]: ...


E = TypeVar("E", bound=Entry)


class Catalogue(Generic[E]):
    """Entries by name. *kind* is what messages call one; *module* is imported of each app."""

    def __init__(self, kind: str, module: str) -> None:
        self.kind, self._module = kind, module
        self._found: dict[str, E] = {}
        self._is_discovered = False

    def __iter__(self) -> Iterator[E]:
        self._discover()
        return iter(sorted(self._found.values(), key=lambda entry: entry.name))

    def add(self, entry: E) -> None:
        """Take one in. Raises ImproperlyConfigured."""
        if not _NAME.fullmatch(entry.name):
            raise ImproperlyConfigured(
                f"{self.kind} {entry.name!r}: its name must be of a-z, 0-9, _ and -"
            )
        other = self._found.get(entry.name)
        # The same place again is the module being reloaded.
        if other is not None and _place(other) != _place(entry):
            raise ImproperlyConfigured(
                f"two {self.kind}s are named {entry.name!r}: {_place(other)} and {_place(entry)}"
            )
        self._found[entry.name] = entry

    def remove(self, name: str) -> None:
        """Forget one; for tests."""
        self._found.pop(name, None)

    def find(self, name: str) -> E | None:
        """Return the entry of a name, if there is one."""
        self._discover()
        return self._found.get(name)

    def hint(self, name: str) -> str:
        """Say which name may have been meant, or which there are."""
        near = get_close_matches(name, self._found, n=1)
        if near:
            return f"Did you mean {near[0]!r}?"
        return f"Known: {', '.join(sorted(self._found)) or 'none'}."

    def _discover(self) -> None:
        if self._is_discovered:
            return
        self._is_discovered = True  # first: such a module may ask for an entry
        try:
            autodiscover_modules(self._module)
        except BaseException:
            self._is_discovered = False
            raise


def _place(entry: Entry) -> str:
    # A partial, or an object that can be called, has no name of its own.
    name = getattr(entry.function, "__qualname__", None)
    if name is None:
        return repr(entry.function)
    return f"{getattr(entry.function, '__module__', 'builtins')}.{name}"
