"""How things stand, for the clients of the API."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..conf import settings
from ..health import collect
from .health_forms import Health
from .permissions import ANYBODY, has
from .schema import described
from .view import QueueView


class HealthView(QueueView):
    """The health report."""

    verbs: ClassVar = {"GET": ANYBODY}

    @described(dict.fromkeys((200, 206, 503), Health), operation_id="get_queue_health")
    def get(self, request: Request) -> Response:
        """Answer status and reasons to anybody, and the whole report to who may ``view_health``;
        ``HEALTH_STATUS_CODES`` says by which HTTP status."""
        report = collect()
        may_see: Any = report.database.is_up and has(request, "view_health")
        body = report.as_json() if may_see else report.summary
        return Response(body, status=settings.http_status_for(report.status))
