"""Hiding what is nobody's business: values of telling names, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

MASK = "********"
EVERY_NAME = ("",)
"""The keys that mask whatever has a name."""
_DEEPEST = 20
_JOINTS = str.maketrans("", "", "_- ")  # what words of a name are joined by


def redact(
    value: Any, keys: Sequence[str], *, hide: Callable[[Any], Any] = lambda _: MASK, depth: int = 0
) -> Any:
    """Return *value* with a mask in the place of what stands under a name that contains one of
    *keys*, in dicts within dicts and lists; the original is left alone. *hide* makes the mask of
    what it is given."""
    if depth > _DEEPEST:
        return hide(value)
    if isinstance(value, Mapping):
        return {
            name: hide(each)
            if is_secret(name, keys)
            else redact(each, keys, hide=hide, depth=depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(each, keys, hide=hide, depth=depth + 1) for each in value]
    return value


def holds_secret(value: Any, keys: Sequence[str]) -> bool:
    """Tell whether there is anything in a value to be masked."""
    return bool(redact(value, keys, hide=lambda _: object()) != value)


def is_secret(name: object, keys: Sequence[str]) -> bool:
    """Tell whether a name contains one of *keys*, however the two are written: ``api_key`` is also
    apiKey, X-Api-Key and "API key"."""
    words = _plain(str(name))
    return any(key in words for key in _plain_keys(tuple(keys)))


@lru_cache
def _plain_keys(keys: tuple[str, ...]) -> list[str]:
    return [_plain(key) for key in keys]


def _plain(words: str) -> str:
    return words.lower().translate(_JOINTS)


def redact_patch(patch: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return a JSON Patch (RFC 6902) with a mask for what it sets at a telling path."""
    return [
        {
            name: MASK if name == "value" and is_secret(step["path"], keys) else redact(each, keys)
            for name, each in step.items()
        }
        for step in patch
    ]


def unmask(value: Any, original: Any, keys: Sequence[str]) -> Any:
    """Return *value* with what *original* has wherever a mask that `redact` had put was left alone.

    Items of a list are found again by what is not masked of them, else by their place if none was
    added or removed. Raises ValueError for a mask of which nobody knows what it hides.
    """
    if isinstance(value, Mapping):
        had = original if isinstance(original, Mapping) else {}
        return {name: _unmasked(name, each, had, keys) for name, each in value.items()}
    if isinstance(value, list):
        had_items = original if isinstance(original, list) else []
        return [unmask(*pair, keys) for pair in _pairs(value, had_items, keys)]
    if value == MASK != original:
        raise ValueError("a mask hides nothing here")
    return value


def _unmasked(name: str, value: Any, had: Mapping[str, Any], keys: Sequence[str]) -> Any:
    if not is_secret(name, keys):
        return unmask(value, had.get(name), keys)
    # A secret is kept or written, each as a whole: nobody has seen a mask within it.
    return had[name] if value == MASK and name in had else unmask(value, None, keys)


def _pairs(
    items: Sequence[Any], had: Sequence[Any], keys: Sequence[str]
) -> Iterator[tuple[Any, Any]]:
    masked = [redact(each, keys) for each in had]
    left = set(range(len(had)))
    for place, item in enumerate(items):
        same = [i for i in sorted(left, key=lambda i: i != place) if masked[i] == item]
        if not same and len(items) == len(had):
            same = [place]
        left -= set(same[:1])
        yield item, had[same[0]] if same else None
