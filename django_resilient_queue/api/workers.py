"""Workers: which run, what each has in hand, and having one end."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import ISO_8601, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..dismissal import stop_worker
from ..models import WorkerHeartbeat
from ..models.worker_heartbeat import Mode
from ..stores.database import DatabaseStore
from .fields import word
from .forms import PageQuery, Strict
from .letters import find
from .pagination import ByKey, page
from .problem import Problem
from .schema import described
from .scoping import scope
from .throttles import RECOVER
from .view import QueueView, checked


class WorkerLine(serializers.Serializer[Any]):
    """One worker; ``mode`` says which store it claims from."""

    name = serializers.CharField()
    mode = word(*Mode, name="QueueWorkerMode")
    queues = serializers.ListField(child=serializers.CharField())
    jobs_in_hand = serializers.ListField(child=serializers.CharField())
    hostname = serializers.CharField(allow_blank=True)
    pid = serializers.IntegerField()
    # Whole, whatever format a project gives to moments: it is sent back.
    started_at = serializers.DateTimeField(format=ISO_8601)
    seen_at = serializers.DateTimeField()
    stopping = serializers.BooleanField()


class StopForm(Strict):
    """With ``started_at``, as it was shown, no worker is stopped that was started under that name
    since."""

    started_at = serializers.DateTimeField(required=False, input_formats=[ISO_8601])


class WorkersView(QueueView):
    """All workers that have told the database of themselves."""

    verbs: ClassVar = {"GET": "view_workerheartbeat"}
    pagination_class = ByKey

    @described(
        {200: WorkerLine(many=True)},
        400,
        404,
        parameters=(PageQuery,),
        operation_id="list_workers",
    )
    def get(self, request: Request) -> Response:
        """List workers, the latest first; one that died is in it until others have found out."""
        with DatabaseStore().statement():
            return page(request, self, _workers(request), _lines)


class WorkerView(QueueView):
    """One worker."""

    verbs: ClassVar = {"GET": "view_workerheartbeat"}

    @described({200: WorkerLine}, 404, operation_id="get_worker")
    def get(self, request: Request, name: str) -> Response:
        """Show a worker."""
        return Response(_lines([_find(request, name)])[0])


class StopWorkerView(QueueView):
    """The end of a worker."""

    verbs: ClassVar = {"POST": "stop_worker"}
    throttle = RECOVER

    @described({200: WorkerLine}, 404, 409, request=StopForm, operation_id="stop_worker")
    def post(self, request: Request, name: str) -> Response:
        """Have a worker end after the jobs that it has in hand."""
        order, worker = checked(StopForm, request), _find(request, name)
        if order.get("started_at", worker.started_at) != worker.started_at:
            raise Problem(409, "restarted", "Another worker was started under this name.")
        if not stop_worker(name, started_at=worker.started_at):
            raise Problem(409, "stopping", "The worker was asked before, or is gone.")
        return Response(_lines([_find(request, name)])[0])


def _workers(request: Request) -> Any:
    return scope().rows(request, WorkerHeartbeat.objects.using(DatabaseStore().alias))


def _find(request: Request, name: str) -> WorkerHeartbeat:
    worker: WorkerHeartbeat = find(lambda: _workers(request).filter(name=name).first())
    return worker


def _lines(found: list[WorkerHeartbeat]) -> list[dict[str, Any]]:
    return [
        {
            "name": worker.name,
            "mode": worker.mode,
            "queues": [name for name in worker.queues.split(",") if name],
            "jobs_in_hand": [job_id for job_id, _ in worker.in_flight],
            "hostname": worker.hostname,
            "pid": worker.pid,
            "started_at": worker.started_at,
            "seen_at": worker.seen_at,
            "stopping": worker.is_to_stop,
        }
        for worker in found
    ]
