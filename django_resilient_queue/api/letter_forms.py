"""What clients send about dead letters and recovery runs, and what they get: the shapes alone."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from ..failures import CATEGORIES
from ..models import DeadLetter, RecoveryRun
from ..models.dead_letter import Status
from ..outcomes import Reason
from ..recovery.runs import FASTEST
from ..recovery.selection import Selection
from .forms import Strict, word

MOST_LETTERS = 1000  # ids in one selection
_LARGEST_KEY = 2**63 - 1


class Criteria(serializers.Serializer[Any]):
    """What letters may have in common."""

    handler = serializers.CharField(max_length=255, required=False)
    queue = serializers.CharField(max_length=200, required=False)
    error_class = serializers.CharField(max_length=255, required=False)
    fingerprint = serializers.CharField(max_length=32, required=False)
    priority = serializers.IntegerField(min_value=1, max_value=20, required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class SelectionForm(Criteria, Strict):
    """Which letters; those that fit all that is given."""

    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=_LARGEST_KEY),
        max_length=MOST_LETTERS,
        required=False,
    )
    reason = serializers.CharField(max_length=20, required=False)
    category = serializers.CharField(max_length=10, required=False)

    def validate_reason(self, value: str) -> str:
        """Take one of the reasons."""
        return _one_of(value, [reason.value for reason in Reason])

    def validate_category(self, value: str) -> str:
        """Take one of the categories."""
        return _one_of(value, list(CATEGORIES))


class LetterQuery(Criteria):
    """Which letters."""

    status = serializers.ChoiceField(choices=Status.choices, required=False)
    reason = serializers.ChoiceField(choices=[reason.value for reason in Reason], required=False)
    category = serializers.ChoiceField(choices=list(CATEGORIES), required=False)


class LetterLine(serializers.ModelSerializer[DeadLetter]):
    """A letter in a list."""

    status = word(*Status)
    reason = word(*Reason)
    category = word(*CATEGORIES)

    class Meta:
        model = DeadLetter
        fields: ClassVar = (
            "id",
            "job_id",
            "status",
            "handler",
            "queue_name",
            "priority",
            "reason",
            "category",
            "error_class",
            "message",
            "fingerprint",
            "attempts",
            "enqueued_at",
            "died_at",
            "requeued_from",
            "requeued_as",
            "changed_at",
            "changed_by",
            "change_reason",
        )
        read_only_fields = fields


class AttemptLine(serializers.Serializer[Any]):
    """One attempt that failed."""

    number = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField()
    worker_name = serializers.CharField()
    error_class = serializers.CharField()
    message = serializers.CharField()


class CorrectionLine(serializers.Serializer[Any]):
    """One change of the payload; ``diff`` is a JSON Patch (RFC 6902)."""

    made_at = serializers.DateTimeField()
    made_by = serializers.CharField()
    reason = serializers.CharField()
    diff = serializers.ListField(child=serializers.DictField())


class LetterDetail(LetterLine):
    """A whole letter; secrets in its payload are masked without ``view_sensitive_payload``."""

    traceback = serializers.CharField()
    worker_name = serializers.CharField()
    payload = serializers.DictField()
    history = AttemptLine(many=True)
    corrections = CorrectionLine(many=True)

    class Meta:
        model = DeadLetter
        fields: ClassVar = (
            *LetterLine.Meta.fields,
            "traceback",
            "worker_name",
            "payload",
            "history",
            "corrections",
        )
        read_only_fields = fields


class Because(Strict):
    """Why."""

    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class RequeueForm(Because):
    """Why, and how: with the attempts that were left, to another queue."""

    keep_attempts = serializers.BooleanField(required=False)
    queue = serializers.CharField(max_length=200, required=False)


class PayloadForm(RequeueForm):
    """The keyword arguments, or the payload, that the job is to have; all of them."""

    kwargs = serializers.DictField()


class Requeued(serializers.Serializer[Any]):
    """The new job."""

    job_id = serializers.CharField()


class Corrected(Requeued):
    """The new job, and what the correction changed, as a JSON Patch (RFC 6902)."""

    diff = serializers.ListField(child=serializers.DictField())


class Discarded(serializers.Serializer[Any]):
    """What became of the letter."""

    status = word(Status.DISCARDED)


class Group(serializers.Serializer[Any]):
    """Letters of the same error."""

    fingerprint = serializers.CharField()
    error_class = serializers.CharField()
    message = serializers.CharField()
    count = serializers.IntegerField()
    first_seen = serializers.DateTimeField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)


class Groups(serializers.Serializer[Any]):
    """The most frequent errors."""

    groups = Group(many=True)


class RunForm(Because):
    """A recovery run. ``selection`` may be empty only with ``all``."""

    selection = SelectionForm(required=False)
    all = serializers.BooleanField(required=False)
    rate = serializers.FloatField(min_value=0.001, max_value=FASTEST, required=False)
    canary = serializers.IntegerField(min_value=0, max_value=1_000_000, required=False)
    dry_run = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for a choice: everything has to be meant."""
        if not attrs.get("selection") and not attrs.get("all"):
            raise serializers.ValidationError({"selection": ["Choose letters, or say all: true."]})
        return attrs


class RunDetail(serializers.ModelSerializer[RecoveryRun]):
    """A run, and how far it has come. ``id`` is null for a dry run."""

    id = serializers.IntegerField(allow_null=True)
    status = word("running", "paused", "finished", "cancelled")
    selection = serializers.DictField()

    class Meta:
        model = RecoveryRun
        fields: ClassVar = (
            "id",
            "status",
            "note",
            "selection",
            "reason",
            "created_by",
            "created_at",
            "ended_at",
            "rate",
            "canary",
            "total",
            "requeued",
            "skipped",
            "refused",
        )
        read_only_fields = fields


class NoteForm(Strict):
    """Why."""

    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


def selection_of(given: dict[str, Any]) -> Selection:
    """Make a selection of a valid form."""
    values = {name: value for name, value in given.items() if name != "status"}
    if "queue" in values:
        values["queue_name"] = values.pop("queue")
    if "ids" in values:
        values["ids"] = tuple(values["ids"])
    return Selection(**values)


def _one_of(value: str, known: list[str]) -> str:
    if value not in known:
        raise serializers.ValidationError(f"One of: {', '.join(known)}.")
    return value
