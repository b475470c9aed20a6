"""Two versions of arguments side by side, field by field and line by line, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from django_resilient_queue.models import Correction
from django_resilient_queue.redaction import redact

_MOST_LINES = 200
_LONGEST_LINE = 400  # characters
_CONTEXT = 2  # lines around a change
_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What became of one field. ``lines`` are pairs of a sign (``-``, ``+`` or a space) and text;
    there are none of what is masked."""

    name: str
    lines: Sequence[tuple[str, str]]

    @property
    def is_masked(self) -> bool:
        """Tell whether only its being changed is to be known."""
        return not self.lines


def changes(correction: Correction, keys: Sequence[str]) -> list[FieldChange]:
    """Return what a correction did to keyword arguments; *keys* says what is masked."""
    before, after = correction.before.get("kwargs", {}), correction.after.get("kwargs", {})
    changed = correction.fields
    return [
        FieldChange(name, list(_lines(_part(before, name), _part(after, name), keys)))
        for name in {**before, **after}
        if name in changed
    ]


def pretty(value: object) -> str:
    """Write a value as JSON for people, and half a pair of UTF-16, which no page holds, escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _part(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: values[name]} if name in values else {}


def _lines(
    before: Mapping[str, Any], after: Mapping[str, Any], keys: Sequence[str]
) -> Iterator[tuple[str, str]]:
    found = unified_diff(_text(before, keys), _text(after, keys), lineterm="", n=_CONTEXT)
    for number, line in enumerate(found):
        if number < 2:  # names of files
            continue
        if number > _MOST_LINES:
            yield " ", "…"
            return
        if line.startswith("@@"):
            if number > 2:
                yield " ", "…"
            continue
        yield line[0], line[1 : _LONGEST_LINE + 1]


def _text(values: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    shown: Any = redact(values, keys)
    return [line for value in shown.values() for line in pretty(value).splitlines()]
