"""Jobs that the database holds: which, why each waits, and having them go home to Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import FallbackJob
from ..models.fallback_job import FallbackJobQuerySet, Standing, State
from ..recovery.drain import drain_now
from ..stores.database import DatabaseStore
from .fields import MOST_SECONDS, Text, word
from .forms import STORES, PageQuery, Strict
from .letters import find
from .pagination import ByKey, OldestFirst, page
from .schema import described
from .scoping import scope
from .throttles import RECOVER
from .view import QueueView, asked, checked

_DRAIN_SECONDS = 0.4  # well below the bound of an answer


class StoredQuery(serializers.Serializer[Any]):
    """Which rows; with ``older_than`` (seconds) the oldest come first, else the newest."""

    state = word(*State, name="QueueStoredState", required=False)
    queue = Text(max_length=200, required=False)
    older_than = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS, required=False)


class StoredJob(serializers.Serializer[Any]):
    """One row. ``standing`` says what becomes of the job next, ``age`` is in seconds."""

    id = serializers.CharField()
    queue = serializers.CharField()
    state = word(*State, name="QueueStoredState")
    standing = word(*Standing, name="QueueStanding")
    priority = serializers.IntegerField()
    attempts = serializers.IntegerField()
    may_be_in_redis = serializers.BooleanField()
    worker = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    age = serializers.IntegerField()


class Drained(serializers.Serializer[Any]):
    """How many jobs went to Redis; ``more`` where there are others, which workers send as well, and
    which store was lost over it."""

    drained = serializers.IntegerField()
    more = serializers.BooleanField()
    stopped_by = serializers.ChoiceField(("", *STORES))


class DrainForm(Strict):
    """Nothing is to be said."""


class StoredJobsView(QueueView):
    """All rows of the outbox."""

    verbs: ClassVar = {"GET": "view_fallbackjob"}
    pagination_class = ByKey

    @described(
        {200: StoredJob(many=True)},
        400,
        404,
        parameters=(StoredQuery, PageQuery),
        operation_id="list_stored_jobs",
    )
    def get(self, request: Request) -> Response:
        """List jobs that have a row, and say why each waits."""
        query, rows, by = asked(StoredQuery, request), _rows(request), ByKey
        if state := query.get("state"):
            rows = rows.filter(state=state)
        if name := query.get("queue"):
            rows = rows.filter(queue_name=name)
        if (seconds := query.get("older_than")) is not None:
            # Rows are numbered in the order in which they were made: these are the first.
            rows, by = rows.filter(created_at__lte=_ago(seconds)), OldestFirst
        with DatabaseStore().statement():
            return page(request, self, rows, _lines, by)


class StoredJobView(QueueView):
    """One row."""

    verbs: ClassVar = {"GET": "view_fallbackjob"}

    @described({200: StoredJob}, 404, operation_id="get_stored_job")
    def get(self, request: Request, job_id: str) -> Response:
        """Show where a job stands that has a row."""
        row = find(lambda: _rows(request).filter(job_id=job_id).first())
        return Response(_lines([row])[0])


class DrainView(QueueView):
    """Going home."""

    verbs: ClassVar = {"POST": "drain_fallbackjob"}
    throttle = RECOVER

    @described({200: Drained}, request=DrainForm, operation_id="drain_stored_jobs")
    def post(self, request: Request) -> Response:
        """Send stored jobs to Redis now, as many as fit into the time of an answer.

        Workers do that by themselves as soon as they find Redis back.
        """
        checked(DrainForm, request)
        drained = drain_now(_DRAIN_SECONDS)
        if drained.stopped_by is not None:
            store = drained.stopped_by.store
            return Response({"drained": drained.count, "more": True, "stopped_by": store})
        with DatabaseStore().statement():
            more = DatabaseStore().rows.ready().exists()
        return Response({"drained": drained.count, "more": more, "stopped_by": ""})


def _rows(request: Request) -> FallbackJobQuerySet:
    rows = scope().rows(request, DatabaseStore().rows)
    return rows.defer("payload", "outcome").with_pauses()


def _ago(seconds: int) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def _lines(rows: list[FallbackJob]) -> list[dict[str, Any]]:
    now = timezone.now()
    return [
        {
            "id": row.job_id,
            "queue": row.queue_name,
            "state": row.state,
            "standing": row.standing(now),
            "priority": row.priority,
            "attempts": row.attempt,
            "may_be_in_redis": row.redis_copy,
            "worker": row.claimed_by,
            "created_at": row.created_at,
            "due_at": row.due_at,
            "age": max(round((now - row.created_at).total_seconds()), 0),
        }
        for row in rows
    ]
