"""A filter by whether something is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib.admin import EmptyFieldListFilter
from django.utils.translation import gettext_lazy as _

from .operation import Words


class EndedFilter(EmptyFieldListFilter):
    """By a moment that is empty until then, in words of what it is about."""

    words: ClassVar[tuple[Words, Words]] = (_("lasts"), _("over"))
    """Of an empty moment, and of one that is there."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Offer all, then those two."""
        every, *two = super().choices(changelist)
        yield every
        for choice, words in zip(two, self.words, strict=True):
            yield {**choice, "display": words}


class ReadFilter(EndedFilter):
    """By whether somebody has read it."""

    words = (_("unread"), _("read"))
