"""Hiding what is nobody's business: values of telling names, at any depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MASK = "********"
_DEEPEST = 20


def redact(value: Any, keys: Sequence[str], *, depth: int = 0) -> Any:
    """Return *value* with a mask in the place of what stands under a name that contains one of
    *keys*, whatever its case, in dicts within dicts and lists; the original is left alone."""
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {
            name: MASK if is_secret(name, keys) else redact(each, keys, depth=depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(each, keys, depth=depth + 1) for each in value]
    return value


def is_secret(name: object, keys: Sequence[str]) -> bool:
    """Tell whether a name contains one of *keys*, dashes and underlines being the same."""
    words = str(name).lower().replace("-", "_")
    return any(key.lower().replace("-", "_") in words for key in keys)


def redact_patch(patch: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return a JSON Patch (RFC 6902) with a mask for what it sets at a telling path."""
    return [
        {
            name: MASK if name == "value" and is_secret(step["path"], keys) else redact(each, keys)
            for name, each in step.items()
        }
        for step in patch
    ]
