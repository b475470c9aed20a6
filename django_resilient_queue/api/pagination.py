"""Pages by cursor: as cheap at the end as at the start, and steady while rows come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response


class ByKey(CursorPagination):
    """The newest first."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Order by the key: no client chooses what has no index."""
        return ("-pk",)


def page(
    request: Request,
    view: Any,
    rows: QuerySet[Any],
    shown: Callable[[list[Any]], list[dict[str, Any]]],
) -> Response:
    """Answer one page of *rows*; *shown* makes JSON values of them."""
    paginator = ByKey()
    found = list(paginator.paginate_queryset(rows, request, view=view) or ())
    response: Response = paginator.get_paginated_response(shown(found))
    return response
