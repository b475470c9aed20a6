"""What of a correction everybody may know. It says that a secret has changed, never to what.

Two versions of arguments are compared with marks in the place of secrets. Marks stand for what is
compared, so it is by them that whoever can't see a secret is kept from finding it out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonpatch

from ..models.correction import storable
from ..redaction import MASK, redact, redact_patch

_WRITTEN = f"{MASK}?"  # is like no other mark, and not like the value that it stands for


def shown_difference(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    keys: Sequence[str],
    written: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return a JSON Patch (RFC 6902) of two versions, of what they have as ``kwargs``, with masks.

    By *written*, keyword arguments with masks for secrets that are kept, whoever wrote it could not
    see any: each other secret then counts as changed. Without it secrets are compared.
    """
    had, has = before["kwargs"], after["kwargs"]
    if written is None:
        mark = _marks()
        versions = redact(had, keys, hide=mark), redact(has, keys, hide=mark)
    else:  # what it lacks are defaults of a schema
        has = {**has, **storable(dict(written))}
        versions = redact(had, keys), redact(has, keys, hide=_mark_of_written)
    before, after = ({"kwargs": each} for each in versions)
    return redact_patch(jsonpatch.make_patch(before, after).patch, keys)


def _mark_of_written(value: Any) -> str:
    return MASK if value == MASK else _WRITTEN


def _marks() -> Callable[[Any], str]:
    """Return what makes a mark of a secret: of the same value the same, of each other another."""
    known: dict[str, str] = {}

    def mark(value: Any) -> str:
        text = json.dumps(value, sort_keys=True)
        return known.setdefault(text, f"{MASK}{len(known)}")

    return mark
