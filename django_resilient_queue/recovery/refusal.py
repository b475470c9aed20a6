"""Why a schema refuses a correction, as whoever may not see secrets is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from ..handlers.handler import UNKNOWN_FIELD
from ..redaction import holds_secret, is_secret


def without_secrets(
    errors: Mapping[str, Any], given: Mapping[str, Any], keys: Sequence[str]
) -> dict[str, Any]:
    """Return a schema's errors with other words where what they are about is a secret of *given*,
    or has one in it: a validator may repeat its value."""
    return {name: _of_member(name, found, given, keys) for name, found in errors.items()}


def _said(found: Any, value: Any, keys: Sequence[str]) -> Any:
    """What is said of a value that has no telling name itself."""
    if isinstance(found, Mapping):
        return {name: _of_member(name, each, value, keys) for name, each in found.items()}
    if isinstance(found, list | tuple):
        return [_of_item(place, each, value, keys) for place, each in enumerate(found)]
    return _neutral() if holds_secret(value, keys) and not _is_plain(found) else found


def _of_member(name: Any, found: Any, value: Any, keys: Sequence[str]) -> Any:
    if is_secret(name, keys):
        return found if _is_plain(found) else [_neutral()]
    if isinstance(value, Mapping) and name in value:
        return _said(found, value[name], keys)
    if isinstance(value, Sequence) and isinstance(name, int) and name < len(value):
        return _said(found, value[name], keys)
    # A name for the whole of it, or of what is missing.
    return _said(found, value, keys)


def _of_item(place: int, found: Any, value: Any, keys: Sequence[str]) -> Any:
    """Of many serializers there is a dict for each in a list; else it is a list of texts."""
    is_nested = isinstance(found, Mapping | list) and isinstance(value, list)
    return _said(found, value[place] if is_nested and place < len(value) else value, keys)


def _is_plain(found: Any) -> bool:
    """Tell whether the words are of no value: of one that is missing, or not of the schema."""
    if isinstance(found, list | tuple):
        return all(_is_plain(each) for each in found)
    return found == UNKNOWN_FIELD or getattr(found, "code", "") == "required"


def _neutral() -> str:
    return _("This value does not fit the schema; it is masked, and so is what is wrong with it.")
