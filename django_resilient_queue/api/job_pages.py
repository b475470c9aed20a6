"""Pages of jobs: first those that have a row, then those that Redis alone has.

A queue without an outbox has rows only while its Redis fails. What it has else is in rq's own
lists, which have places and no keys.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from django_rq.settings import get_queues_list
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from ..conf import settings
from ..exceptions import StoreError
from ..job_info import JobState
from ..job_listing import states_of
from ..models import FallbackJob
from ..models.fallback_job import FallbackJobQuerySet, State
from ..rq_lists import LISTED, Listed, jobs_in_redis
from ..stores.database import DatabaseStore
from .forms import PageQuery
from .pagination import ByKey
from .scoping import scope
from .view import asked

_ROW_STATES = {
    "waiting": (State.DISPATCHED, State.READY),
    "delayed": (State.DISPATCHED, State.READY),
    "active": (State.DISPATCHED, State.CLAIMED),
    "completed": (State.DISPATCHED, State.FINISHED),
    "cancelled": (State.FINISHED,),
}
_PLACE = re.compile("redis=([0-9]{1,9})", re.ASCII)


def list_jobs(request: Request, view: Any, *, queue: str = "", status: str = "") -> Response:
    """Answer one page of the jobs of a queue, or of all. Raises StoreError, NotFound."""
    limit = ByKey().get_page_size(request)
    asked(PageQuery, request)
    pages = _JobPages(request, _without_rows(queue), status, int(limit or ByKey.page_size))
    start = _place_in(request.query_params.get("cursor", ""))
    if start is None:
        return pages.of_rows(view, _rows(request, queue, status))
    if not pages.names:  # they have an outbox by now
        raise NotFound(ByKey.invalid_cursor_message)
    return pages.of_redis(start)


class _JobPages:
    """The pages that one request may ask for."""

    def __init__(self, request: Request, names: Sequence[str], status: str, limit: int) -> None:
        self.request, self.names, self.status, self.limit = request, names, status, limit

    def of_rows(self, view: Any, rows: FallbackJobQuerySet) -> Response:
        """Answer rows; what room their last page has is for jobs in Redis, if it answers."""
        paginator = ByKey()
        with DatabaseStore().statement():
            found = list(paginator.paginate_queryset(rows, self.request, view=view) or ())
        lines = _lines_of_rows(found, self.status)
        response: Response = paginator.get_paginated_response(lines)
        if response.data["next"] is None and self.names:
            goes_back = paginator.cursor is not None and paginator.cursor.reverse
            room = 0 if goes_back else self.limit - len(found)
            self._go_on(response.data, room)
        return response

    def of_redis(self, start: int) -> Response:
        """Answer jobs of rq's lists."""
        lines, end = self._listed(start, self.limit)
        before = self._address(max(0, start - self.limit)) if start else self._last_rows()
        following = None if end is None else self._address(end)
        return Response({"next": following, "previous": before, "results": lines})

    def _go_on(self, data: Any, room: int) -> None:
        data["next"] = self._address(0)
        if not room:
            return
        try:
            lines, end = self._listed(0, room)
        except StoreError:
            return  # the next page will say so
        data["results"] = [*data["results"], *lines]
        data["next"] = None if end is None else self._address(end)

    def _listed(self, start: int, count: int) -> tuple[list[dict[str, Any]], int | None]:
        states = (JobState(self.status),) if self.status else LISTED
        page = jobs_in_redis(self.names, states, start, count)
        have_rows = _ids_with_rows([each.info.job_id for each in page.jobs])
        sees = scope().sees
        lines = [
            _line(each)
            for each in page.jobs
            if each.info.job_id not in have_rows
            and self.status in ("", each.info.state)
            and sees(self.request, each.info)
        ]
        return lines, page.next_start

    def _address(self, place: int) -> str:
        cursor = b64encode(f"redis={place}".encode()).decode()
        return str(replace_query_param(self.request.build_absolute_uri(), "cursor", cursor))

    def _last_rows(self) -> str:
        paginator = ByKey()
        paginator.base_url = self.request.build_absolute_uri()
        return str(paginator.encode_cursor(Cursor(offset=0, reverse=True, position=None)))


def _place_in(cursor: str) -> int | None:
    try:
        found = _PLACE.fullmatch(b64decode(cursor.encode("ascii")).decode("ascii"))
    except ValueError:
        return None
    return int(found[1]) if found else None


def _without_rows(queue: str) -> list[str]:
    names = [each["name"] for each in get_queues_list()]
    return [name for name in names if queue in ("", name) and not settings.outbox_for(name)]


def _rows(request: Request, queue: str, status: str) -> FallbackJobQuerySet:
    rows = scope().rows(request, FallbackJob.objects.using(settings.DATABASE))
    if queue:
        rows = rows.filter(queue_name=queue)
    if status:
        rows = rows.filter(state__in=_ROW_STATES[status])
    return rows.defer("payload")


def _lines_of_rows(rows: list[FallbackJob], status: str) -> list[dict[str, Any]]:
    lines = [
        {
            "id": row.job_id,
            "status": state,
            "queue": row.queue_name,
            "attempts": row.attempt,
            "created_at": row.created_at,
            "due_at": row.due_at,
        }
        for row, state in zip(rows, states_of(rows), strict=True)
    ]
    return [line for line in lines if status in ("", line["status"])]


def _line(job: Listed) -> dict[str, Any]:
    return {
        "id": job.info.job_id,
        "status": job.info.state,
        "queue": job.info.queue_name,
        "attempts": job.info.attempts,
        "created_at": job.created_at,
        "due_at": job.due_at,
    }


def _ids_with_rows(job_ids: Sequence[str]) -> set[str]:
    """Of some jobs, those that stood among the rows."""
    try:
        with DatabaseStore().statement():
            rows = DatabaseStore().rows.filter(job_id__in=job_ids)
            return set(rows.values_list("job_id", flat=True))
    except StoreError:  # a job twice is better than none
        return set()
