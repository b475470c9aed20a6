"""What cells of lists are made of: as few of them as fit beside the filters."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .amounts import UNKNOWN, age, date_and_time
from .operation import Words


def below(first: object, second: Words) -> SafeString:
    """Return a cell of two lines, the second in small; one line where there is no second."""
    if not second:
        return format_html("{}", first)
    return format_html('{} <span class="drq-words">{}</span>', first, second)


def ago(moment: datetime | None) -> SafeString | str:
    """Return how long ago that was, or how long it is until then; a dash for no moment."""
    if moment is None:
        return UNKNOWN
    seconds = (timezone.now() - moment).total_seconds()
    words = _("%(ago)s ago") if seconds >= 0 else _("in %(ago)s")
    return time(moment, words % {"ago": age(abs(seconds))})


def time(moment: datetime, words: Words) -> SafeString:
    """Return words for a moment, which itself is below the pointer."""
    here = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        here.isoformat(timespec="seconds"),
        date_and_time(moment),
        words,
    )


def pill(words: Words, look: str = "") -> SafeString:
    """Return a word that can be told at a glance, in the look of a button or in none."""
    return format_html('<b class="drq-status {}">{}</b>', look, words)
