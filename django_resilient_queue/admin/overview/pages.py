"""The overview: one page that says how things stand, and the address that refreshes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_rq.settings import get_queues_map

from django_resilient_queue.facts.history import SPANS
from django_resilient_queue.models import Outage, Overview

from ..addresses import address, address_of, list_of, page_of
from ..amounts import clock, moment
from ..frame import frame
from ..letters.seen import seen_of
from ..operation import OperationsMixin
from ..order import put_in_order
from ..read_only import ReadOnlyAdmin
from . import cards, charts, queues, timeline
from .part import part_of
from .pausing import Pause, Resume, find_queue
from .snapshot import Snapshot, history_of, look_again, snapshot
from .wording import standing_of

if TYPE_CHECKING:
    from ..operation import Operation

_FOLDER = "admin/django_resilient_queue/overview"
_NAME = "django_resilient_queue_overview"
# What the script puts in place of what is there, by the id of the element.
_PARTS = {"drq-now": f"{_FOLDER}/now.html", "drq-outages": f"{_FOLDER}/outages.html"}


@admin.register(Overview)
class OverviewAdmin(OperationsMixin, ReadOnlyAdmin):
    """The pages of `Overview`, which has no table: its rows are the queues of the settings."""

    operations = (Pause(), Resume())

    def __init__(self, model: type[Overview], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        put_in_order(admin_site)

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the refresh."""
        live = self.admin_site.admin_view(self.live_view)
        return [path("live/", live, name=f"{_NAME}_live"), *super().get_urls()]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Overview | None:
        """Return the queue of that name."""
        return find_queue(object_id, set(get_queues_map()))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how things stand; it can be read without the script, too."""
        page = self._shell(request)
        context = {
            **frame(self, request, _("Overview")),
            **page,
            "charts": charts.charts(history_of(page["span"]), page["without"]),
            "dashboard": self._dashboard(request),
            "live": address(self, "live"),
            "time_zone": timezone.get_current_timezone_name(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, f"{_FOLDER}/page.html", context)

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what has changed as JSON: HTML by the ids of the ``parts``, and ``drawing``, what
        the charts show, unless that is what the page has ``drawn`` already."""
        page = self._shell(request)
        found: Snapshot = page["snapshot"]
        drawn = charts.version(found)
        answer: dict[str, Any] = {
            "parts": {
                name: render_to_string(template, page, request) for name, template in _PARTS.items()
            },
            "drawn": drawn,
        }
        if request.GET.get("drawn") != drawn:
            known, span = history_of(page["span"]), page["span"]
            answer["drawing"] = charts.as_json(known, found, span, page["without"])
        return JsonResponse(answer)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show all queues: log entries lead to here."""
        return HttpResponseRedirect(address(self, "changelist"))

    def operate(
        self, request: HttpRequest, object_id: str, *, operation: Operation
    ) -> HttpResponseBase:
        """Have the next page show what has been done."""
        answer = super().operate(request, object_id, operation=operation)
        if request.method == "POST":
            look_again()
        return answer

    def _shell(self, request: HttpRequest) -> dict[str, Any]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        found, span = snapshot(), SPANS.get(request.GET.get("span", ""), SPANS["hour"])
        letters = seen_of(self.admin_site, request)
        if letters is not None:
            found = part_of(found, letters)
        lists = partial(list_of, self.admin_site, request)
        change = partial(self._change, request)
        outages = timeline.outages(found, span, partial(page_of, self.admin_site, request))
        words = charts.SPAN_WORDS[span.name]
        now = found.report.checked_at
        return {
            "snapshot": found,
            # Samples are of all letters.
            "without": "" if letters is None else charts.LETTERS,
            "as_of": clock(now),
            "standing": standing_of(found.report),
            "cards": cards.cards(found, lists),
            "queues": queues.queues(found, lists, change),
            "every_queue": queues.every_queue(found, change),
            "span": span,
            "spans": charts.SPAN_WORDS,
            "outages": outages,
            "outages_since": moment(now - span.length, now),
            "shown_outages": timeline.shown(outages),
            "outages_summary": timeline.summary_of(found, outages, str(words)),
            "all_outages": lists(Outage),
        }

    def _change(self, request: HttpRequest, queue_name: str, verb: str) -> str:
        """Return where a queue is paused or resumed; empty for who may not."""
        if not Pause().is_permitted(request):
            return ""
        return address(self, verb, quote(queue_name))

    def _dashboard(self, request: HttpRequest) -> str:
        """Return the address of django-rq's own pages, where this site has them."""
        if not request.user.has_module_perms("django_rq"):
            return ""
        return address_of("admin:django_rq_dashboard_changelist", site=self.admin_site)

    def _page_of(self, row: Model) -> str:
        return address(self, "changelist")
