"""Numbers, ages and moments, as people write them in the language of a page."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

UNKNOWN = "-"  # as the admin writes it


def moment(value: datetime, now: datetime) -> str:
    """Write a time of day, with its date unless that is today's."""
    here = timezone.localtime(value)
    clock = date_format(here, "H:i")
    if here.date() == timezone.localtime(now).date():
        return clock
    return f"{date_format(here, 'SHORT_DATE_FORMAT')} {clock}"


def date_and_time(value: datetime) -> str:
    """Write a moment, whole."""
    return date_format(timezone.localtime(value), "DATETIME_FORMAT")


def clock(value: datetime) -> str:
    """Write a time of day to the second, and by which clock: who is on call may be elsewhere."""
    here = timezone.localtime(value)
    return f"{date_format(here, 'H:i:s')} {here.tzname()}"


def age(seconds: float | None) -> str:
    """Write an age in its two largest units; a dash for none."""
    if seconds is None:
        return UNKNOWN
    whole = int(seconds)
    if whole < 60:
        return _("%d s") % whole
    if whole < 3600:
        return _("%d min") % (whole // 60)
    if whole < 86400 and whole % 3600 < 60:
        return _("%d h") % (whole // 3600)
    if whole < 86400:
        return _("%(hours)d h %(minutes)d min") % {
            "hours": whole // 3600,
            "minutes": whole % 3600 // 60,
        }
    days = whole // 86400
    return ngettext("%d day", "%d days", days) % days


def number(value: float, decimals: int = 0) -> str:
    """Write a number as people of the language do."""
    return number_format(value, decimals, force_grouping=True)


def at_least(value: int, *, is_capped: bool) -> str:
    """Write a count; where counting ended before its end, there may be more."""
    return f"≥ {number(value)}" if is_capped else number(value)
