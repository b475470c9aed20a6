"""What a serialised job calls: read from its first bytes, without unpickling.

A description may be anything that its owner wrote, of anybody: it names no type of jobs.
"""

from __future__ import annotations

import re
import zlib

# What every job of a handler calls, with the handler's name as first argument.
PERFORM = f"{__name__.rpartition('.')[0]}.handlers.performing.perform"

_ENOUGH = 1024  # bytes, of what may be megabytes
_FUNCTION = rb"([A-Za-z_][\w.<>]{0,254})"
_HANDLER = rb"([a-z][a-z0-9_:-]{0,99})"
# The tuple of a function's path, the object that it is of (None) and its arguments, as pickle's
# protocols from 4 on and JSON write it. Each text of a pickle has its length before it.
_PICKLE = re.compile(
    rb"\x80.(?:\x95.{8})?\(\x8c(.)" + _FUNCTION + rb"\x94(?:N\x8c(.)" + _HANDLER + rb"\x94)?",
    re.DOTALL,
)
_JSON = re.compile(
    rb'\s*\[\s*()"' + _FUNCTION + rb'"(?:\s*,\s*null\s*,\s*\[\s*()"' + _HANDLER + rb'")?'
)


def type_of_call(data: bytes) -> str:
    """Return the handler's name or the function's path of what rq keeps as ``data``, pickle or
    JSON; empty where neither can be read."""
    head = _decompressed(data)
    found = _PICKLE.match(head) or _JSON.match(head)
    if found is None or not (_is_whole(found[1], found[2]) and _is_whole(found[3], found[4])):
        return ""
    function = found[2].decode()
    return (found[4] or b"").decode() if function == PERFORM else function


def _is_whole(length: bytes | None, text: bytes | None) -> bool:
    return not length or length[0] == len(text or b"")


def _decompressed(raw: bytes) -> bytes:
    head = raw[: 2 * _ENOUGH]
    try:
        return zlib.decompressobj().decompress(head, _ENOUGH)
    except zlib.error:
        return head
