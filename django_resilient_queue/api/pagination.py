"""Pages by cursor: as cheap at the end as at the start, and steady while rows come and go."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from .forms import LARGEST_PAGE, PageQuery
from .view import asked

_KEY = re.compile(r"[0-9]{1,18}", re.ASCII)


class ByKey(CursorPagination):
    """The newest first."""

    page_size = 50
    max_page_size = LARGEST_PAGE
    page_size_query_param = "limit"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Order by the key: no client chooses what has no index."""
        return ("-pk",)

    def decode_cursor(self, request: Request) -> Any:
        """Read a cursor. Raises NotFound, also for a place that is no key: it would reach SQL."""
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not _KEY.fullmatch(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class OldestFirst(ByKey):
    """The other way round."""

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Order by the key."""
        return ("pk",)


def page(
    request: Request,
    view: Any,
    rows: QuerySet[Any],
    shown: Callable[[list[Any]], list[dict[str, Any]]],
    paginated: type[ByKey] = ByKey,
) -> Response:
    """Answer one page of *rows*; *shown* makes JSON values of them."""
    asked(PageQuery, request)
    paginator = paginated()
    found = list(paginator.paginate_queryset(rows, request, view=view) or ())
    response: Response = paginator.get_paginated_response(shown(found))
    return response
