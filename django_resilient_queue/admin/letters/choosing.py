"""Which letters a page means: told in its address, and read from that again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.selection import KINDS, Selection

MOST_IDS = 300  # more would make an address that servers refuse
_LONGEST = len(str(2**63))  # digits
_DAY = timedelta(days=1)
AGES: dict[str, tuple[timedelta | None, timedelta | None]] = {
    "hour": (timedelta(hours=1), None),
    "day": (_DAY, None),
    "week": (7 * _DAY, None),
    "older": (None, 7 * _DAY),
}
"""How old at most, and how old at least."""


def died_within(age: str, now: datetime) -> Selection:
    """Return the letters of an age; of one that is not in AGES, all."""
    most, least = AGES.get(age, (None, None))
    return Selection(since=now - most if most else None, until=now - least if least else None)


def query_of(selection: Selection, status: str = "") -> str:
    """Write a selection as the query of an address, of one status or of all."""
    given = selection.as_json() | ({"status": status} if status else {})
    return urlencode({name: _text(value) for name, value in given.items()})


def status_from(query: QueryDict) -> str:
    """Read the status that `query_of` wrote; empty for all. Raises BadRequest for no such one."""
    status = query.get("status", "")
    if status and status not in Status.values:
        raise BadRequest(_("No such status: %(status)s.") % {"status": status[:50]})
    return status


def selection_from(query: QueryDict) -> Selection:
    """Read what `query_of` wrote. Raises BadRequest, which names what can't be."""
    if any("\0" in str(value) for value in query.values()):
        raise BadRequest(_("No criterion has a NUL character in it."))
    given = {name: value for name, value in query.items() if isinstance(value, str) and value}
    given.pop("status", None)
    values: dict[str, Any] = {name: given.pop(name) for name in KINDS if name in given}
    for name in ("since", "until"):
        if name in given:
            values[name] = _moment(name, given.pop(name))
    if "ids" in given:
        values["ids"] = ids_of(given.pop("ids").split(","))
    if given:
        raise BadRequest(_("No such criterion: %(name)s.") % {"name": min(given)[:50]})
    if not values:
        raise BadRequest(_("No letters are chosen."))
    return Selection(**values)


def until(selection: Selection, now: datetime) -> Selection:
    """Leave out what dies from now on, so that it stays what somebody has seen."""
    return selection if selection.until or selection.ids else replace(selection, until=now)


def of_filters(filters: Mapping[str, str], age: str, now: datetime) -> Selection:
    """Make the selection of a list's filters, less that of the status."""
    kinds: Any = {name: value for name, value in filters.items() if name in KINDS}
    return replace(died_within(age, now), **kinds)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _moment(name: str, text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    # Of the first and the last year there are moments that other time zones can't write.
    if found is None or found.tzinfo is None or found.year in (MINYEAR, MAXYEAR):
        raise BadRequest(_("%(name)s is no moment with a time zone.") % {"name": name})
    return found


def ids_of(words: Sequence[str]) -> tuple[int, ...]:
    """Read the keys of letters. Raises BadRequest for what can be none."""
    if len(words) > MOST_IDS or not all(each.isascii() and each.isdigit() for each in words):
        raise BadRequest(_("ids are up to %(most)d numbers, with commas.") % {"most": MOST_IDS})
    # By its length first: int() refuses thousands of digits.
    if any(len(each) > _LONGEST or int(each) >= 2**63 for each in words):
        raise BadRequest(_("ids has a number that is none of a letter."))
    return tuple(map(int, words))
