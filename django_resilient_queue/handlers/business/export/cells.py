"""Values of the database as they stand in a file."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

Plain = str | int | float | bool | None

# What makes a spreadsheet take a text for a formula, behind what some of them leave out: blanks,
# control characters, what has no width. Wide and small forms of the signs are read as the signs.
_FORMULA = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*"
    r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
)


def is_formula_like(words: str) -> bool:
    """Whether a spreadsheet might execute a text."""
    return _FORMULA.match(words) is not None


def guarded(value: Any) -> str:
    """Return a cell for a spreadsheet that reads text: numbers as they are, and what looks like a
    formula behind an apostrophe."""
    words = text(value)
    if isinstance(value, int | float | Decimal) or not is_formula_like(words):
        return words
    return f"'{words}"


def text(value: Any) -> str:
    """Return a value in words; empty for none."""
    found = plain(value)
    if found is None:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found)


def plain(value: Any) -> Plain:
    """Return a value of JSON. Decimals are texts, so that no digit is lost; times say their zone,
    which is the current one."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return local(value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(bytes(value)).decode()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
    return str(value)


def local(value: datetime) -> datetime:
    """Return a moment in the current time zone; as it is where that zone's calendar has ended."""
    try:
        return timezone.localtime(value) if timezone.is_aware(value) else value
    except OverflowError:  # some write "for ever" as the last moment of the year 9999
        return value
