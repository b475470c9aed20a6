"""What clients send about jobs and queues, and what they get: the shapes alone."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..conf import HIGHEST_PRIORITY, LOWEST_PRIORITY
from ..job_info import JobState

MOST_AT_ONCE = 100
_MOST_MILLISECONDS = 366 * 86_400_000
_MOST_SECONDS = 366 * 86_400


def word(*words: str) -> serializers.CharField:
    """A field of one of some words. Described in its place: a named enumeration might meet one of
    the project's own under the same name."""
    described = extend_schema_field({"oneOf": [{"type": "string", "enum": list(words)}]})
    kind = described(type("Word", (serializers.CharField,), {}))
    field: serializers.CharField = kind()
    return field


STORES = ("redis", "database")


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt option would be lost without a word."""

    def to_internal_value(self, data: Any) -> Any:
        """Check the names, then the values."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return super().to_internal_value(data)


class Removal(serializers.JSONField):
    """True for at once, False for never, or seconds."""

    def to_internal_value(self, data: Any) -> Any:
        """Take what the front door takes."""
        is_whole = isinstance(data, int) and 0 <= data <= _MOST_SECONDS
        if isinstance(data, bool) or is_whole:
            return data
        raise serializers.ValidationError("True, False or whole seconds.")


class JobOptions(Strict):
    """What one job may say besides its payload. ``delay`` is in milliseconds."""

    priority = serializers.IntegerField(
        min_value=LOWEST_PRIORITY, max_value=HIGHEST_PRIORITY, required=False
    )
    delay = serializers.IntegerField(min_value=0, max_value=_MOST_MILLISECONDS, required=False)
    attempts = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    job_id = serializers.RegexField(r"^[A-Za-z0-9_-]{1,200}$", required=False)
    remove_on_complete = Removal(required=False)
    remove_on_fail = Removal(required=False)


class JobForm(Strict):
    """One job: the name of a registered handler, and its payload."""

    type = serializers.CharField(max_length=100)
    data = serializers.DictField(required=False)  # type: ignore[assignment] # DRF takes it off
    options = JobOptions(required=False)


class BatchForm(Strict):
    """Many jobs: either all are valid, or none is accepted."""

    jobs = serializers.ListField(child=JobForm(), min_length=1, max_length=MOST_AT_ONCE)


class Accepted(serializers.Serializer[Any]):
    """A job that a store has; ``fallback`` says that it is not Redis."""

    id = serializers.CharField()
    status = word(*JobState)
    backend = word(*STORES)
    fallback = serializers.BooleanField()


class AcceptedBatch(serializers.Serializer[Any]):
    """Jobs in the order in which they were sent."""

    jobs = Accepted(many=True)


class JobLine(serializers.Serializer[Any]):
    """A job in a list."""

    id = serializers.CharField()
    status = word(*JobState)
    queue = serializers.CharField()
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()


class JobDetail(serializers.Serializer[Any]):
    """All that is known of a job; ``store`` says which store told it."""

    id = serializers.CharField()
    status = word(*JobState)
    queue = serializers.CharField()
    store = word(*STORES)
    attempts = serializers.IntegerField()
    progress = serializers.DictField(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    enqueued_at = serializers.DateTimeField(allow_null=True)


class JobQuery(serializers.Serializer[Any]):
    """Which jobs."""

    queue = serializers.CharField(max_length=200, required=False)
    status = serializers.ChoiceField(
        choices=["waiting", "active", "delayed", "completed", "cancelled"], required=False
    )


class CancelQuery(serializers.Serializer[Any]):
    """Whether a job may be stopped that runs."""

    running = serializers.BooleanField(default=False)


class CancelAnswer(serializers.Serializer[Any]):
    """What becomes of the job: cancelled, or stopping."""

    id = serializers.CharField()
    status = word("cancelled", "stopping")


class PauseForm(Strict):
    """One queue, or all of them without a name."""

    queue = serializers.CharField(max_length=200, required=False)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class ResumeForm(Strict):
    """One queue, or all of them without a name."""

    queue = serializers.CharField(max_length=200, required=False)


class CleanForm(Strict):
    """Records of jobs that ended more than ``older_than`` seconds ago, of one queue or all."""

    older_than = serializers.IntegerField(min_value=0, max_value=_MOST_SECONDS)
    queue = serializers.CharField(max_length=200, required=False)


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
    errors = serializers.JSONField(required=False)  # type: ignore[assignment] # as above
