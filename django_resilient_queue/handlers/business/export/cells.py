"""Values of the database as they stand in a file."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

Plain = str | int | float | bool | None

# What makes a spreadsheet take a text for a formula; the wide ones are what some of them read so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def is_formula_like(words: str) -> bool:
    """Whether a spreadsheet might execute a text."""
    return words.startswith(_FORMULA) or words.lstrip(" ").startswith(_FORMULA)


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
    """Return a moment in the current time zone."""
    return timezone.localtime(value) if timezone.is_aware(value) else value
