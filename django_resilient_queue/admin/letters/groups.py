"""Letters of the same error as one line: how many, since when, and what may be done to all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_resilient_queue.admin.addresses import list_of
from django_resilient_queue.admin.amounts import age, at_least, number
from django_resilient_queue.admin.columns import ago
from django_resilient_queue.admin.frame import away_since, frame
from django_resilient_queue.admin.operation import Words
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.recovery.statistics import MOST, groups, groups_among
from django_resilient_queue.recovery.timeline import Timeline, timeline

from .bulk import BulkMixin
from .bulk_operations import BulkOperation
from .choosing import until
from .seen import is_narrowed

WIDTH, HEIGHT = 112, 24  # of a picture, in its own units
_BAR = 4  # width of one, its gap included


@dataclass(frozen=True, slots=True)
class Group:
    """One line of the page."""

    error_class: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    timeline: Timeline
    letters: str
    """The address of its letters."""
    operations: list[tuple[BulkOperation, str]]
    """What the user may do to all of them, each with its address."""
    is_capped: bool = False
    """Whether there may be more letters than were counted."""

    @property
    def number(self) -> str:
        """How many letters it has."""
        return at_least(self.count, is_capped=self.is_capped)

    @property
    def began(self) -> Words:
        """How long ago the first died."""
        return ago(self.first_seen)

    @property
    def went_on(self) -> Words:
        """How long ago the last one did."""
        return ago(self.last_seen)

    @property
    def bars(self) -> Iterator[tuple[int, int, int, int]]:
        """The bars of its picture: left, top, width and height of each."""
        highest = max(*self.timeline.counts, 1)
        for place, count in enumerate(self.timeline.counts):
            height = -(-count * HEIGHT // highest)
            if height:
                yield place * _BAR, HEIGHT - height, _BAR - 1, height

    @property
    def unknown(self) -> int:
        """How much of its picture is of what was not counted."""
        return self.timeline.unknown * _BAR

    @property
    def drawn(self) -> str:
        """How many its picture is of, where that is not all of them."""
        if self.timeline.since is None:
            return ""
        return _("of the newest %(total)s") % {"total": number(self.timeline.total)}

    @property
    def picture(self) -> str:
        """The same in words."""
        total, since = self.timeline.total, self.timeline.since
        if since is not None:
            words = _("The newest %(total)s letters, back to %(age)s ago; older ones are not drawn")
            seconds = (timezone.now() - since).total_seconds()
            return words % {"total": number(total), "age": age(seconds)}
        return ngettext(
            "%(total)d letter in the last 7 days", "%(total)d letters in the last 7 days", total
        ) % {"total": total}


class GroupsMixin(BulkMixin):
    """The page of groups."""

    def get_urls(self) -> list[URLPattern]:
        """Give it an address."""
        view = self.admin_site.admin_view(self.groups_view)
        name = "django_resilient_queue_deadletter_groups"
        return [path("groups/", view, name=name), *super().get_urls()]

    def groups_view(self, request: HttpRequest) -> TemplateResponse:
        """Show the most frequent errors of letters that wait for somebody."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now, letters = timezone.now(), self.get_queryset(request)
        found = groups_among(letters) if is_narrowed(letters) else groups()
        context = {
            **frame(self, request, _("Groups of errors")),
            "groups": [self._group(request, each, now) for each in found],
            "most": MOST,
            "away_since": away_since(),
            "width": WIDTH,
            "height": HEIGHT,
        }
        template = "admin/django_resilient_queue/deadletter/groups.html"
        return TemplateResponse(request, template, context)

    def _group(self, request: HttpRequest, found: dict[str, Any], now: datetime) -> Group:
        fingerprint = found.pop("fingerprint")
        # Not what dies while somebody looks at the page.
        same = until(Selection(fingerprint=fingerprint), now)
        operations = [
            (each, self.bulk_address(each, same))
            for each in self.bulk_operations
            if each.status == "dead" and each.is_permitted(request)
        ]
        dead = self.get_queryset(request).filter(status=Status.DEAD, fingerprint=fingerprint)
        when = timeline(dead, None if found.get("is_capped") else found["count"], now)
        letters = list_of(self.admin_site, request, DeadLetter, fingerprint__exact=fingerprint)
        return Group(**found, timeline=when, letters=letters, operations=operations)
