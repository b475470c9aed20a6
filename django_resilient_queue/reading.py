"""What serialised bytes say, as JSON values: nothing that they name is imported or called.

Pickles are read with every class replaced, so that a letter can be looked at whoever wrote it and
whether or not its classes are still there. Plain values of the standard library come out as such.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

LARGEST = 1024 * 1024  # bytes that are read at all
_LONGEST = 2_000  # characters of a text
_MOST = 1_000  # values altogether
_DEEPEST = 20
_MORE = "…"
_PLAIN = (datetime, date, time, timedelta, timezone, Decimal, OrderedDict, set, frozenset)
_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    **{(each.__module__, each.__name__): each for each in _PLAIN},
    ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),  # bytes in protocol 2
}


class Unreadable(Exception):
    """These bytes can't be shown; the message says why, without what they hold."""


def read(raw: bytes) -> Any:
    """Return what a serialiser of rq has written, pickle or JSON, perhaps compressed. Values of
    other classes are `Opaque`. Raises Unreadable."""
    data = _decompressed(raw)
    if len(data) > LARGEST:
        raise Unreadable(f"longer than {LARGEST} bytes")
    try:
        return _Reader(io.BytesIO(data)).load() if data[:1] == b"\x80" else json.loads(data)
    except Exception as error:
        what = "pickle" if data[:1] == b"\x80" else "JSON"
        raise Unreadable(f"no {what} that can be read ({type(error).__name__})") from error


def as_json(value: Any) -> Any:
    """Return *value* in JSON values, cut short where it is long, deep or many."""
    return _Writer().write(value)


class Opaque:
    """Stands for a value, or a class, of which only the name is read."""

    label = ""

    def __new__(cls, *args: object, **kwargs: object) -> Opaque:
        """Take whatever the real class would take."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __call__(self, *args: object) -> Opaque:
        """Be what a method would have made, as a time zone's is."""
        return self

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, name: object, value: object) -> None: ...

    def append(self, value: object) -> None:
        """Forget what the value holds, as above and below."""

    def extend(self, values: Iterable[object]) -> None: ...

    def add(self, value: object) -> None: ...


class _Uuid:
    """Reads a pickled UUID, which is made without its number."""

    text = ""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.text = str(UUID(int=state["int"]))


# The one in C would set memory aside for as many values as the bytes claim to have.
class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("uuid", "UUID"):
            return _Uuid
        module = module.replace("__builtin__", "builtins")  # as Python 2 and protocol 2 call it
        opaque = type("Opaque", (Opaque,), {"label": f"{module}.{name}"[:200]})
        found = _KNOWN.get((module, name))
        return _lenient(found, opaque) if found is not None else opaque

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("extension codes name classes of this process")


def _lenient(make: Callable[..., Any], opaque: type[Opaque]) -> Callable[..., Any]:
    """Make a plain value, or the stand-in where its arguments are stand-ins, as a time zone."""

    def made(*args: Any) -> Any:
        try:
            return make(*args)
        except (TypeError, ValueError, ArithmeticError):
            return opaque()

    return made


def _decompressed(raw: bytes) -> bytes:
    """Decompress no more than will be read; what is not compressed stays as it is."""
    try:
        return zlib.decompressobj().decompress(raw, LARGEST + 1)
    except zlib.error:
        return raw


class _Writer:
    """Counts what it has written, for the same list may stand in many places of a value."""

    def __init__(self) -> None:
        self.left = _MOST

    def write(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _DEEPEST:
            return _MORE
        if isinstance(value, Mapping):
            return {
                _key(name): self.write(each, depth + 1) for name, each in self._few(value.items())
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.write(each, depth + 1) for each in self._few(value)]
        return _scalar(value)

    def _few(self, values: Iterable[Any]) -> Iterable[Any]:
        for each in values:
            if self.left <= 0:
                return
            yield each


def _key(name: Any) -> str:
    return str(_scalar(name)) if not isinstance(name, tuple | frozenset) else type(name).__name__


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else f"<number of {value.bit_length()} bits>"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        cut = value.encode("utf-8", "replace").decode()
        return cut if len(cut) <= _LONGEST else f"{cut[:_LONGEST]}{_MORE} ({len(cut)} characters)"
    return _word(value)


def _word(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta | timezone | Decimal):
        return str(value)[:_LONGEST]
    if isinstance(value, _Uuid):
        return value.text
    label = getattr(value, "label", "")
    return f"<{label}>" if isinstance(label, str) and label else "<object>"
