"""Reasons and kinds of deaths in words, for people."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from ..outcomes import Reason

REASONS = (
    (Reason.RAISED.value, _("raised an error")),
    (Reason.RETRIES_EXCEEDED.value, _("asked for too many retries")),
    (Reason.TIMEOUT.value, _("took too long")),
    (Reason.KILLED.value, _("process was killed")),
    (Reason.ABANDONED.value, _("worker vanished")),
    (Reason.UNDECODABLE.value, _("can't be decoded")),
    (Reason.NOT_IMPORTABLE.value, _("function not found")),
    (Reason.EXPIRED.value, _("not started in time")),
    (Reason.UNKNOWN_QUEUE.value, _("unknown queue")),
)
# The words of failures.CATEGORIES, in that order.
CATEGORIES = (
    ("timeout", _("time limit")),
    ("connection", _("connection")),
    ("validation", _("wrong data")),
    ("permission", _("permission")),
    ("not_found", _("not found")),
    ("resource", _("lack of resources")),
    ("other", _("other")),
)
