"""Things that projects register under a name, and the module of each app that they are in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Generic, Protocol, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Entry(Protocol):
    """What is registered: a function under a name."""

    @property
    def name(self) -> str: ...
    @property
    def function(self) -> Callable[..., Any]: ...


E = TypeVar("E", bound=Entry)


class Found(Generic[E]):
    """What the installed apps have registered, by name. *module* is what each may have it in, None
    to look nowhere."""

    def __init__(self, module: str | None) -> None:
        self._found: dict[str, E] = {}
        self._module = module

    def __iter__(self) -> Iterator[E]:
        self.discover()
        return iter(sorted(self._found.values(), key=lambda entry: entry.name))

    def discover(self) -> None:
        """Import that module of every installed app, once."""
        if self._module is None:
            return
        module, self._module = self._module, None  # first: such a module may ask for an entry
        try:
            autodiscover_modules(module)
        except BaseException:
            self._module = module
            raise

    def find(self, name: str) -> E | None:
        """Return the entry of a name, if there is one."""
        self.discover()
        return self._found.get(name)

    def remove(self, name: str) -> None:
        """Forget one; for tests."""
        self._found.pop(name, None)


class Catalogue(Found[E]):
    """Functions under names of one word. *kind* is what messages call one."""

    def __init__(self, kind: str, module: str) -> None:
        super().__init__(module)
        self.kind = kind

    def add(self, entry: E) -> None:
        """Take one in. Raises ImproperlyConfigured."""
        if not NAME.fullmatch(entry.name):
            raise ImproperlyConfigured(
                f"{self.kind} {entry.name!r}: its name must be of a-z, 0-9, _ and -"
            )
        if other := self.twin(entry):
            raise ImproperlyConfigured(
                f"two {self.kind}s are named {entry.name!r}: {place(other)} and {place(entry)}"
            )
        self._found[entry.name] = entry

    def twin(self, entry: E) -> E | None:
        """Return another entry of the same name; the same place again is the module reloaded."""
        other = self._found.get(entry.name)
        return other if other is not None and place(other) != place(entry) else None

    def near(self, name: str) -> str:
        """Say which name may have been meant, if one is near."""
        near = get_close_matches(name, self._found, n=1)
        return f"Did you mean {near[0]!r}?" if near else ""

    def hint(self, name: str) -> str:
        """Say which name may have been meant, or which there are."""
        return self.near(name) or f"Known: {', '.join(sorted(self._found)) or 'none'}."


def place(entry: Entry) -> str:
    """Name the function that is registered."""
    # A partial, or an object that can be called, has no name of its own.
    name = getattr(entry.function, "__qualname__", None)
    if name is None:
        return repr(entry.function)
    return f"{getattr(entry.function, '__module__', 'builtins')}.{name}"
