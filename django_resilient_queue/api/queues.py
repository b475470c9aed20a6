"""Queues: how much lies in them, pausing them, and deleting records of jobs that have ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from django_rq.settings import get_queues_map
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..health import collect
from ..models.paused_queue import ALL
from ..pauses import pause, paused_queues, resume
from ..recovery.cancelling import clean
from ..recovery.statistics import dead_by_queue
from . import forms
from .schema import described
from .throttles import RECOVER
from .view import QueueView, checked, name_of


class Counts(serializers.Serializer[Any]):
    """Jobs by status; null where the store that knows does not answer."""

    waiting = serializers.IntegerField(allow_null=True)
    active = serializers.IntegerField(allow_null=True)
    delayed = serializers.IntegerField(allow_null=True)
    failed = serializers.IntegerField(allow_null=True)
    dead = serializers.IntegerField(allow_null=True)


class QueueStats(serializers.Serializer[Any]):
    """One queue."""

    name = serializers.CharField()
    paused = serializers.BooleanField()
    redis = Counts(allow_null=True)
    database = Counts(allow_null=True)


class Totals(Counts):
    """All queues together, and each; ``completed`` is what workers have counted over all time."""

    completed = serializers.IntegerField(allow_null=True)
    queues = QueueStats(many=True)


class StatsView(QueueView):
    """Numbers."""

    verbs: ClassVar = {"GET": "view_job"}

    @described({200: Totals}, operation_id="get_queue_stats")
    def get(self, request: Request) -> Response:
        """Count jobs by status, queue and store."""
        report = collect()
        dead = dead_by_queue() if report.database.is_up else None
        queues: list[dict[str, Any]] = [
            {
                "name": queue.name,
                "paused": queue.is_paused,
                "redis": _counts(queue.redis, None),
                "database": _counts(
                    queue.database, None if dead is None else dead.get(queue.name, 0)
                ),
            }
            for queue in report.queues
        ]
        parts = [part for each in queues for part in (each["redis"], each["database"])]
        sums = {name: _sum(parts, name) for name in ("waiting", "active", "delayed", "failed")}
        return Response(
            {
                **sums,
                "completed": report.counts["jobs_finished"] if report.counts else None,
                "dead": None if dead is None else sum(dead.values()),
                "queues": queues,
            }
        )


class PauseView(QueueView):
    """Pausing."""

    verbs: ClassVar = {"POST": "pause_queue"}
    throttle = RECOVER

    @described(
        {200: forms.Changed},
        request=forms.PauseForm,
        example={"reason": "The printer is away."},
        operation_id="pause_queues",
    )
    def post(self, request: Request) -> Response:
        """Let no worker take jobs from a queue, or from any; those that run go on."""
        order = checked(forms.PauseForm, request)
        words = {"reason": order.get("reason", ""), "by": name_of(request)}
        return _changed(pause(order.get("queue", ALL), **words))


class ResumeView(QueueView):
    """Going on."""

    verbs: ClassVar = {"POST": "pause_queue"}
    throttle = RECOVER

    @described({200: forms.Changed}, request=forms.ResumeForm, operation_id="resume_queues")
    def post(self, request: Request) -> Response:
        """End the pause of a queue, or every pause."""
        return _changed(resume(checked(forms.ResumeForm, request).get("queue", ALL)))


class _CleanView(QueueView):
    verbs: ClassVar = {"POST": "clean_job"}
    throttle = RECOVER
    kind: str

    def clean(self, request: Request) -> Response:
        """Delete records of one kind."""
        order = checked(forms.CleanForm, request)
        name = order.get("queue")
        before = timezone.now() - timedelta(seconds=order["older_than"])
        names = [name] if name else list(get_queues_map())
        return Response({"removed": sum(clean(self.kind, each, before) for each in names)})


class CleanCompletedView(_CleanView):
    """Records of finished jobs."""

    kind = "finished"

    @described(
        {200: forms.Removed},
        request=forms.CleanForm,
        example={"older_than": 86_400},
        operation_id="clean_completed_jobs",
    )
    def post(self, request: Request) -> Response:
        """Delete rq's records of finished jobs, with their results."""
        return self.clean(request)


class CleanFailedView(_CleanView):
    """Records of failed jobs."""

    kind = "failed"

    @described(
        {200: forms.Removed},
        request=forms.CleanForm,
        example={"older_than": 604_800},
        operation_id="clean_failed_jobs",
    )
    def post(self, request: Request) -> Response:
        """Delete rq's records of failed jobs that have a dead letter, which stays."""
        return self.clean(request)


def _changed(changed: bool) -> Response:
    names = [each.queue_name or "*" for each in paused_queues()]
    return Response({"changed": changed, "paused": names})


def _counts(counts: Any, dead: int | None) -> dict[str, Any] | None:
    if counts is None:
        return None
    return {
        "waiting": counts.waiting,
        "active": counts.active,
        "delayed": counts.scheduled + counts.deferred,
        "failed": counts.failed,
        "dead": dead,
    }


def _sum(parts: list[dict[str, Any] | None], name: str) -> int | None:
    known = [part[name] for part in parts if part is not None]
    return sum(known) if known else None
