"""What clients send about jobs and queues, and what they get: the shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from ..conf import HIGHEST_PRIORITY, LOWEST_PRIORITY
from ..job_info import JobState
from .fields import ANYTHING, MOST_SECONDS, FlagOfQuery, QueueName, Removal, Text, Whole, note, word

MOST_AT_ONCE = 100
LARGEST_PAGE = 200
_MOST_MILLISECONDS = 366 * 86_400_000


STORES = ("redis", "database")


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt option would be lost without a word.

    ``together`` is what the document says of the fields beside their own descriptions.
    """

    together: ClassVar[Mapping[str, Any]] = {}

    def to_internal_value(self, data: Any) -> Any:
        """Check the names, then the values."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class JobOptions(Strict):
    """What one job may say besides its payload. ``delay`` is in milliseconds."""

    priority = Whole(min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, required=False)
    delay = Whole(min_value=0, max_value=_MOST_MILLISECONDS, required=False)
    attempts = Whole(min_value=1, max_value=1000, required=False)
    # jobs/batch/ is an address of its own.
    job_id = Text(r"\A(?!batch\Z)[A-Za-z0-9_-]{1,200}\Z", required=False)
    remove_on_complete = Removal(required=False)
    remove_on_fail = Removal(required=False)


class JobForm(Strict):
    """One job: the name of a registered handler, and its payload."""

    type = Text(max_length=100)
    data = serializers.DictField(required=False)  # type: ignore[assignment] # DRF takes it off
    options = JobOptions(required=False)


class BatchForm(Strict):
    """Many jobs: either all are valid, or none is accepted."""

    jobs = serializers.ListField(child=JobForm(), min_length=1, max_length=MOST_AT_ONCE)


class Accepted(serializers.Serializer[Any]):
    """A job that a store has; ``fallback`` says that it is not Redis."""

    id = serializers.CharField()
    status = word(*JobState, name="QueueJobStatus")
    backend = word(*STORES, name="QueueStore")
    fallback = serializers.BooleanField()


class AcceptedBatch(serializers.Serializer[Any]):
    """Jobs in the order in which they were sent."""

    jobs = Accepted(many=True)


class JobLine(serializers.Serializer[Any]):
    """A job in a list."""

    id = serializers.CharField()
    status = word(*JobState, name="QueueJobStatus")
    queue = serializers.CharField()
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()


class JobProgress(serializers.Serializer[Any]):
    """So many of so many, by the handler's own report; ``total`` is 0 where nobody knows it."""

    done = serializers.IntegerField()
    total = serializers.IntegerField()
    note = serializers.CharField(allow_blank=True)
    percent = serializers.FloatField(allow_null=True)


class JobDetail(serializers.Serializer[Any]):
    """All that is known of a job; ``store`` says which store told it."""

    id = serializers.CharField()
    status = word(*JobState, name="QueueJobStatus")
    queue = serializers.CharField()
    store = word(*STORES, name="QueueStore")
    attempts = serializers.IntegerField()
    progress = JobProgress(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    enqueued_at = serializers.DateTimeField(allow_null=True)


class JobQuery(serializers.Serializer[Any]):
    """Which jobs."""

    queue = Text(max_length=200, required=False)
    status = word(
        "waiting",
        "active",
        "delayed",
        "completed",
        "cancelled",
        name="QueueListedJobStatus",
        required=False,
    )


class PageQuery(serializers.Serializer[Any]):
    """Which page: ``cursor`` is that of another page's ``next`` or ``previous``."""

    cursor = Text(ANYTHING, max_length=500, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, required=False)


class CancelQuery(serializers.Serializer[Any]):
    """Whether a job may be stopped that runs."""

    running = FlagOfQuery(default=False)


class CancelAnswer(serializers.Serializer[Any]):
    """What becomes of the job: cancelled, or stopping."""

    id = serializers.CharField()
    status = word("cancelled", "stopping")


class PauseForm(Strict):
    """One queue, or all of them without a name."""

    queue = QueueName(required=False)
    reason = note()


class ResumeForm(Strict):
    """One queue, or all of them without a name."""

    queue = Text(max_length=200, required=False)


class CleanForm(Strict):
    """Records of jobs that ended more than ``older_than`` seconds ago, of one queue or all."""

    older_than = Whole(min_value=0, max_value=MOST_SECONDS)
    queue = QueueName(required=False)


class Changed(serializers.Serializer[Any]):
    """Whether anything is other than before, and what is paused now (``*``: all queues)."""

    changed = serializers.BooleanField()
    paused = serializers.ListField(child=serializers.CharField())


class Removed(serializers.Serializer[Any]):
    """How many records were deleted; a call looks at 5,000 of each queue."""

    removed = serializers.IntegerField()


class ProblemDetails(serializers.Serializer[Any]):
    """RFC 9457, with a code that stays, and errors by field."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = serializers.DictField(required=False)  # type: ignore[assignment] # as above
