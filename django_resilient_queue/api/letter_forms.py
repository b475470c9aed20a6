"""What clients send about dead letters and recovery runs, and what they get: the shapes alone."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from ..failures import CATEGORIES
from ..models import DeadLetter, RecoveryRun
from ..models.dead_letter import Status
from ..models.recovery_run import Deed, RunStatus
from ..outcomes import Reason
from ..recovery.runs import FASTEST, MOST_CANARY
from ..recovery.selection import Selection
from .fields import Flag, Number, QueueName, Text, Whole, note, word
from .forms import Strict

MOST_LETTERS = 1000  # ids in one selection
_LARGEST_KEY = 2**63 - 1
# How the document calls them.
STATUS, REASON, CATEGORY = "DeadLetterStatus", "DeadLetterReason", "DeadLetterCategory"


class Criteria(serializers.Serializer[Any]):
    """What letters may have in common."""

    handler = Text(max_length=255, required=False)
    queue = Text(max_length=200, required=False)
    reason = word(*Reason, name=REASON, required=False)
    category = word(*CATEGORIES, name=CATEGORY, required=False)
    error_class = Text(max_length=255, required=False)
    fingerprint = Text(max_length=32, required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class SelectionForm(Criteria, Strict):
    """Which letters; those that fit all that is given."""

    ids = serializers.ListField(
        child=Whole(min_value=1, max_value=_LARGEST_KEY),
        min_length=1,  # none of them would be read as all
        max_length=MOST_LETTERS,
        required=False,
    )
    priority = Whole(min_value=1, max_value=20, required=False)


class LetterQuery(Criteria):
    """Which letters; those that fit all that is given."""

    status = word(*Status, name=STATUS, required=False)
    priority = serializers.IntegerField(min_value=1, max_value=20, required=False)


class LetterLine(serializers.ModelSerializer[DeadLetter]):
    """A letter in a list."""

    status = word(*Status, name=STATUS)
    reason = word(*Reason, name=REASON)
    category = word(*CATEGORIES, name=CATEGORY)

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

    reason = note()


class RequeueForm(Because):
    """Why, and how: with the attempts that were left, to another queue."""

    keep_attempts = Flag(required=False)
    queue = QueueName(required=False)


class PayloadForm(RequeueForm):
    """The keyword arguments, or the payload, that the job is to have; all of them. A mask
    (``********``) that is left alone keeps what it hides."""

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


class OldestLetter(serializers.Serializer[Any]):
    """The letter that has waited the longest, and for how many days."""

    id = serializers.IntegerField()
    job_id = serializers.CharField()
    died_at = serializers.DateTimeField()
    days = serializers.FloatField()


def _counts() -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField())


class LetterStats(serializers.Serializer[Any]):
    """Letters that wait for somebody, in numbers; ``by_status`` counts the others as well. Of
    handlers, categories and error classes the most frequent ones."""

    total = serializers.IntegerField()
    by_status = _counts()
    by_handler = _counts()
    by_category = _counts()
    by_error_class = _counts()
    by_age = _counts()
    oldest = OldestLetter(allow_null=True)


class Groups(serializers.Serializer[Any]):
    """The most frequent errors."""

    groups = Group(many=True)


class RunForm(Because):
    """A recovery run. ``selection`` may be empty only with ``all``."""

    together: ClassVar = {
        "anyOf": [
            {"properties": {"selection": {"minProperties": 1}}, "required": ["selection"]},
            {"properties": {"all": {"not": {"enum": [False]}}}, "required": ["all"]},
        ]
    }

    selection = SelectionForm(required=False)
    all = Flag(required=False)
    rate = Number(min_value=0.001, max_value=FASTEST, required=False)
    canary = Whole(min_value=0, max_value=MOST_CANARY, required=False)
    dry_run = Flag(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for a choice: everything has to be meant."""
        if not attrs.get("selection") and not attrs.get("all"):
            raise serializers.ValidationError({"selection": ["Choose letters, or say all: true."]})
        return attrs


class RunDetail(serializers.ModelSerializer[RecoveryRun]):
    """A run, and how far it has come. ``id`` is null for a dry run."""

    id = serializers.IntegerField(allow_null=True)
    deed = word(*Deed, name="RecoveryRunDeed")
    status = word(*RunStatus, name="RecoveryRunStatus")
    selection = serializers.DictField()

    class Meta:
        model = RecoveryRun
        fields: ClassVar = (
            "id",
            "deed",
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
            "discarded",
            "restored",
            "skipped",
            "refused",
        )
        read_only_fields = fields


class NoteForm(Strict):
    """Why."""

    note = note()


def selection_of(given: dict[str, Any]) -> Selection:
    """Make a selection of a valid form."""
    values = {name: value for name, value in given.items() if name != "status"}
    if "queue" in values:
        values["queue_name"] = values.pop("queue")
    if "ids" in values:
        values["ids"] = tuple(values["ids"])
    return Selection(**values)
