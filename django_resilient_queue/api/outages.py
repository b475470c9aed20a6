"""Outages of Redis: when, why, and what the database did meanwhile."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Outage
from ..models.outage import OutageQuerySet
from ..stores.database import DatabaseStore
from .forms import PageQuery
from .letters import find
from .pagination import ByKey, page
from .schema import described
from .scoping import scope
from .view import QueueView


class OutageDetail(serializers.ModelSerializer[Outage]):
    """One outage; ``ended_at`` is null while it lasts."""

    class Meta:
        """Which columns."""

        model = Outage
        fields = (
            "id",
            "broker",
            "started_at",
            "ended_at",
            "cause",
            "reported_by",
            "jobs_stored",
            "slowest_enqueue",
            "jobs_executed",
            "jobs_drained",
            "jobs_lost",
        )
        read_only_fields = fields


class OutagesView(QueueView):
    """All outages."""

    verbs: ClassVar = {"GET": "view_outage"}
    pagination_class = ByKey

    @described(
        {200: OutageDetail(many=True)},
        400,
        404,
        parameters=(PageQuery,),
        operation_id="list_outages",
    )
    def get(self, request: Request) -> Response:
        """List outages, the newest first."""
        with DatabaseStore().statement():
            return page(request, self, _outages(request), _lines)


class OutageView(QueueView):
    """One outage."""

    verbs: ClassVar = {"GET": "view_outage"}

    @described({200: OutageDetail}, 404, operation_id="get_outage")
    def get(self, request: Request, pk: int) -> Response:
        """Show an outage."""
        return Response(_lines([find(lambda: _outages(request).filter(pk=pk).first())])[0])


def _outages(request: Request) -> OutageQuerySet:
    return scope().rows(request, Outage.objects.using(DatabaseStore().alias))


def _lines(found: list[Outage]) -> list[dict[str, Any]]:
    return [dict(line) for line in OutageDetail(found, many=True).data]
