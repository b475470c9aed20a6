"""What was changed of a dead job's arguments before it was requeued."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from .dead_letter import DeadLetter

_IN_NO_DATABASE = re.compile("[\0\ud800-\udfff]")


def storable(value: Any) -> Any:
    """Return JSON values with a mark for each character that PostgreSQL does not store or that no
    encoding has. The job itself keeps them: a record of it must not stand in its way."""
    if isinstance(value, str):
        return _IN_NO_DATABASE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [storable(each) for each in value]
    return value


class Correction(models.Model):
    """One change of the arguments: who made it, when and why, and what it changed."""

    letter = models.ForeignKey(DeadLetter, models.CASCADE, related_name="corrections")
    made_at = models.DateTimeField(_("made"))
    made_by = models.CharField(_("made by"), max_length=200, blank=True, default="")
    reason = models.CharField(_("why"), max_length=500, blank=True, default="")
    # {"args": [...], "kwargs": {...}}
    before = models.JSONField(_("before"))
    after = models.JSONField(_("after"))
    # A JSON Patch (RFC 6902) that makes the second of the first.
    diff = models.JSONField(_("difference"))
    # The same as far as everybody may know it. A secret that was written by somebody who may not
    # see it is changed there, whatever it was: else it could be guessed.
    shown = models.JSONField(_("difference, masked"))

    class Meta:
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        ordering = ("made_at", "pk")

    def __str__(self) -> str:
        return f"{self.letter_id} {self.made_at:%Y-%m-%d %H:%M:%S}"

    @property
    def fields(self) -> set[str]:
        """The names of the keyword arguments that are changed, as far as everybody may know."""
        paths = [step[end] for step in self.shown for end in ("path", "from") if end in step]
        return {path.split("/")[2].replace("~1", "/").replace("~0", "~") for path in paths}
